package inspect

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/order"

	"github.com/redis/go-redis/v9"
)

const (
	notesShown   = 64  // orders of one worker that an overview tells of, at most
	notesRead    = 128 // about so many are read to find the oldest of them
	eventsShown  = 200 // events of one overview, at most
	longestShown = 1 << 16
)

// Overview is the queue at one instant, by Redis's clock, as far as it fits on a page.
// What it costs Redis does not grow with the queue: one script, or two where a worker is
// new. A worker that holds messages and is not registered is not among the workers, for
// finding it takes a search through all keys; see [Inspector.InFlight].
type Overview struct {
	At    time.Time `json:"at"`
	Queue string    `json:"queue"`

	Waiting    int64   `json:"waiting"`
	OldestAge  *Millis `json:"oldest_age_ms"` // as in [Status]
	Delayed    int64   `json:"delayed"`
	NextDue    *Millis `json:"next_due_ms"` // until the first delayed message is; negative where it should have been
	Dead       int64   `json:"dead"`
	Reconciled int64   `json:"reconciled"`
	Paused     *Pause  `json:"paused"` // nil while workers may claim

	Workers []Member `json:"workers"` // by instance
	Events  []Event  `json:"events"`  // oldest first
}

// InHand is how many messages the registered workers hold.
func (o Overview) InHand() (n int64) {
	for _, w := range o.Workers {
		n += w.InHand
	}
	return n
}

// Member is one registered worker.
type Member struct {
	Instance string `json:"instance"`
	State    State  `json:"state"`

	// LeaseLeft is negative once the lease is over; nil for who is condemned. LeaseTTL
	// is how long it was at the last beat; nil where that is unknown.
	LeaseLeft *Millis `json:"lease_left_ms"`
	LeaseTTL  *Millis `json:"lease_ttl_ms"`

	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Version     string    `json:"version"`
	Concurrency int       `json:"concurrency"`
	StartedAt   time.Time `json:"started_at"` // of its session
	BeatAt      time.Time `json:"beat_at"`
	InHand      int64     `json:"in_hand"`

	// Orders are those it works on, the longest begun first, 64 at most.
	Orders []Held `json:"orders"`

	Tally metrics.Tally `json:"-"` // as of its last beat
}

// Held is an order that a worker works on.
type Held struct {
	OrderID       int64        `json:"order_id"` // 0 where unknown
	CorrelationID string       `json:"correlation_id"`
	Since         time.Time    `json:"since"`
	Status        order.Status `json:"status"` // in PostgreSQL; "" where there is no such order, or no answer
}

// Event is something that is rare.
type Event struct {
	ID     string            `json:"id"` // of the stream's entry
	At     time.Time         `json:"at"`
	Kind   string            `json:"event"`
	Fields map[string]string `json:"fields"` // the rest
}

//go:embed overview.lua
var overviewLua string

var overviewScript = redis.NewScript(overviewLua)

// Overview looks at Redis. Its events are those after the one with the ID after, or the
// latest where that is "". It does not ask PostgreSQL: see [Inspector.AddStatuses].
func (i *Inspector) Overview(ctx context.Context, after string) (Overview, error) {
	known, _ := i.known.Load().([]registration)
	for {
		answer, err := i.overview(ctx, known, after)
		if err != nil {
			return Overview{}, fmt.Errorf("look into Redis: %w", err)
		}
		o, now := i.read(known, answer)
		i.known.Store(now)
		if slices.EqualFunc(known, now, i.sameLists) {
			return o, nil
		}
		known = now
	}
}

// registration is what must be known of an instance to look at it: its lists depend on how
// much it may have in hand.
type registration struct {
	instance    string
	concurrency int
}

// sameLists reports whether the one would be looked at as the other.
func (i *Inspector) sameLists(a, b registration) bool {
	return slices.Equal(i.keys.Lanes(a.instance, a.concurrency), i.keys.Lanes(b.instance, b.concurrency))
}

func (i *Inspector) overview(ctx context.Context, known []registration, after string) ([]any, error) {
	keys := []string{
		i.keys.Queue(), i.keys.Workers(), i.keys.Delayed(), i.keys.Dead(), i.keys.Events(), i.keys.Paused(), i.keys.Reconciled(),
	}
	for _, r := range known {
		keys = append(keys, i.keys.Worker(r.instance))
	}
	for _, r := range known {
		keys = append(keys, i.keys.Lanes(r.instance, r.concurrency)...)
	}
	return overviewScript.RunRO(ctx, i.rdb, keys, len(known), notesRead, after, eventsShown, longestShown).Slice()
}

// read makes an overview of the script's answer, and says who is registered.
func (i *Inspector) read(known []registration, answer []any) (Overview, []registration) {
	now := time.UnixMilli(answer[0].(int64)).UTC()
	o := Overview{
		At: now, Queue: i.keys.Queue(), Waiting: answer[2].(int64), OldestAge: oldestAge(oneOrNone(answer[3]), now),
		Delayed: answer[4].(int64), NextDue: untilDue(answer[5].(string), now), Dead: answer[6].(int64),
		Paused: readPause(answer[7].(string)), Workers: []Member{}, Events: readEvents(answer[9].([]any)),
	}
	o.Reconciled, _ = strconv.ParseInt(answer[8].(string), 10, 64)
	described, lengths := map[string]map[string]string{}, answer[11].([]any)
	inHand := map[string]int64{}
	for n, r := range known {
		described[r.instance] = pairs(answer[10].([]any)[n])
		for range i.keys.Lanes(r.instance, r.concurrency) {
			inHand[r.instance] += lengths[0].(int64)
			lengths = lengths[1:]
		}
	}
	registry := []registration{}
	for instance, score := range pairs(answer[1]) {
		deadline, _ := strconv.ParseFloat(score, 64)
		m := member(holder{instance: instance, facts: described[instance]}, deadline, now)
		m.InHand = inHand[instance]
		o.Workers = append(o.Workers, m)
		registry = append(registry, registration{instance, m.Concurrency})
	}
	slices.SortFunc(o.Workers, func(a, b Member) int { return strings.Compare(a.Instance, b.Instance) })
	slices.SortFunc(registry, func(a, b registration) int { return strings.Compare(a.instance, b.instance) })
	return o, registry
}

func member(h holder, score float64, now time.Time) Member {
	h.state, h.deadline = standing(score, true, now)
	m := Member{
		Instance: h.instance, State: h.state, Host: h.facts["host"], Version: h.facts["version"],
		Orders: h.orders(), Tally: metrics.ParseTally(h.facts["tally"]),
	}
	m.PID, _ = strconv.Atoi(h.facts["pid"])
	m.Concurrency, _ = strconv.Atoi(h.facts["concurrency"])
	m.StartedAt, _ = h.milliseconds("started_at")
	beat, known := h.milliseconds("beat_at")
	m.BeatAt = beat
	if h.deadline.IsZero() {
		return m
	}
	m.LeaseLeft = millis(h.deadline.Sub(now))
	if known {
		m.LeaseTTL = millis(h.deadline.Sub(beat))
	}
	return m
}

// orders are those whose begin is noted.
func (h holder) orders() []Held {
	held := []Held{}
	for field, note := range h.facts {
		digest, isNote := strings.CutPrefix(field, "order:")
		since, ok := h.started(digest)
		if !isNote || !ok {
			continue
		}
		var o Held
		_, rest, _ := strings.Cut(note, " ")
		id, correlationID, _ := strings.Cut(rest, " ")
		o.OrderID, _ = strconv.ParseInt(id, 10, 64)
		o.CorrelationID, o.Since = correlationID, since.UTC()
		held = append(held, o)
	}
	slices.SortFunc(held, func(a, b Held) int {
		if by := a.Since.Compare(b.Since); by != 0 {
			return by
		}
		return int(a.OrderID - b.OrderID)
	})
	return held[:min(len(held), notesShown)]
}

// AddStatuses asks PostgreSQL for the orders that are worked on: one query, by their ids.
func (i *Inspector) AddStatuses(ctx context.Context, o *Overview) error {
	var ids []int64
	for _, w := range o.Workers {
		for _, held := range w.Orders {
			ids = append(ids, held.OrderID)
		}
	}
	statuses, err := i.statuses(ctx, ids)
	if err != nil {
		return fmt.Errorf("read orders from PostgreSQL: %w", err)
	}
	for _, w := range o.Workers {
		for n := range w.Orders {
			w.Orders[n].Status = statuses[w.Orders[n].OrderID]
		}
	}
	return nil
}

func oneOrNone(payload any) []string {
	if payload == "" {
		return nil
	}
	return []string{payload.(string)}
}

func untilDue(score string, now time.Time) *Millis {
	due, err := strconv.ParseFloat(score, 64)
	if err != nil {
		return nil
	}
	return millis(time.UnixMilli(int64(due)).Sub(now))
}

// pairs is an array of names and values.
func pairs(array any) map[string]string {
	flat := array.([]any)
	values := make(map[string]string, len(flat)/2)
	for n := 0; n+1 < len(flat); n += 2 {
		values[flat[n].(string)] = flat[n+1].(string)
	}
	return values
}

// readEvents reads entries of the stream, the latest first.
func readEvents(entries []any) []Event {
	events := make([]Event, 0, len(entries))
	for _, entry := range slices.Backward(entries) {
		parts := entry.([]any)
		id := parts[0].(string)
		e := Event{ID: id, At: streamTime(id), Fields: pairs(parts[1])}
		e.Kind = e.Fields["event"]
		delete(e.Fields, "event")
		events = append(events, e)
	}
	return events
}
