package inspect

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"fulfillment-worker/internal/order"

	"github.com/redis/go-redis/v9"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults, the worst first.
const (
	Lost     Kind = "lost"     // the order is not fulfilled and has no message anywhere
	Stuck    Kind = "stuck"    // nobody moves the message on, though it is time
	Doubled  Kind = "doubled"  // one unfulfilled order has several messages
	Orphaned Kind = "orphaned" // the message belongs to nobody: no such worker, or no such order
)

// Kinds lists every kind of fault.
var Kinds = []Kind{Lost, Stuck, Doubled, Orphaned}

const (
	// confirmAfter is the pause between the two looks at what seems a fault. It is
	// longer than any message travels.
	confirmAfter = time.Second

	// dueGrace is by how much a delayed message may be late.
	dueGrace = 10 * time.Second
)

// Fault is one broken promise about one message or order.
type Fault struct {
	Kind          Kind         `json:"kind"`
	OrderID       int64        `json:"order_id"` // 0 where the payload does not tell
	CorrelationID string       `json:"correlation_id"`
	Status        order.Status `json:"status"` // in PostgreSQL; "" where there is no such order
	Places        []string     `json:"places"` // of its messages: queue, processing:<instance>, delayed, dead
	Detail        string       `json:"detail"`
	Payload       string       `json:"payload,omitempty"` // only where there is no order id

	identity string // by which two looks know that they saw the same
}

// Verdict is what [Inspector.Verify] found.
type Verdict struct {
	Faults []Fault `json:"faults"`

	Orders    int `json:"orders"`    // open ones: pending or processing
	Messages  int `json:"messages"`  // outside the dead letters
	Dead      int `json:"dead"`      // open orders of which only dead letters are left
	Leftovers int `json:"leftovers"` // messages of orders that need none any more
}

// Count is how many faults of that kind there are.
func (v Verdict) Count(kind Kind) int {
	n := 0
	for _, f := range v.Faults {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// Verify holds every open order against every key, and every message against its
// order. What looks like a fault is looked at again a second later; only what shows
// both times is reported.
func (i *Inspector) Verify(ctx context.Context) (Verdict, error) {
	first, err := i.look(ctx)
	if err != nil || len(first.Faults) == 0 {
		return first, err
	}
	select {
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	case <-time.After(confirmAfter):
	}
	second, err := i.look(ctx)
	if err != nil {
		return Verdict{}, err
	}
	seen := map[string]bool{}
	for _, f := range first.Faults {
		seen[f.identity] = true
	}
	second.Faults = slices.DeleteFunc(second.Faults, func(f Fault) bool { return !seen[f.identity] })
	return second, nil
}

// look is one pass. PostgreSQL is read on both sides of Redis: an order that was
// open before and is open after was open while the picture was taken, when its
// message had to be somewhere.
func (i *Inspector) look(ctx context.Context) (Verdict, error) {
	before, err := i.open(ctx)
	if err != nil {
		return Verdict{}, fmt.Errorf("read open orders from PostgreSQL: %w", err)
	}
	found, err := i.collect(ctx)
	if err != nil {
		return Verdict{}, fmt.Errorf("look into Redis: %w", err)
	}
	after, err := i.statuses(ctx, union(before, found.live, found.dead))
	if err != nil {
		return Verdict{}, fmt.Errorf("read orders from PostgreSQL: %w", err)
	}
	return found.judge(before, after), nil
}

// union are the orders that either PostgreSQL or Redis knows.
func union(open map[int64]order.Status, inRedis ...byOrder) []int64 {
	ids := slices.Collect(maps.Keys(open))
	for _, known := range inRedis {
		ids = slices.AppendSeq(ids, maps.Keys(known))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// sighting is one message in one place.
type sighting struct {
	payload       string
	correlationID string
	place         string
	stuck         string // why the message should not be there any more; "" if it may
	owner         string // the instance that holds it and is not registered; "" if all is well
}

// findings are all messages of one picture by their order, which is 0 where the
// payload does not tell.
type findings struct {
	live byOrder
	dead byOrder
}

// collect reads every key in one transaction.
func (i *Inspector) collect(ctx context.Context) (findings, error) {
	var waiting *redis.StringSliceCmd
	var delayed *redis.ZSliceCmd
	var dead *redis.XMessageSliceCmd
	p, err := i.take(ctx, func(tx redis.Pipeliner) {
		waiting = tx.LRange(ctx, i.keys.Queue(), 0, -1)
		delayed = tx.ZRangeWithScores(ctx, i.keys.Delayed(), 0, -1)
		dead = tx.XRange(ctx, i.keys.Dead(), "-", "+")
	})
	if err != nil {
		return findings{}, err
	}
	f := findings{live: byOrder{}, dead: byOrder{}}
	for _, payload := range waiting.Val() {
		f.live.add(sighting{payload: payload, place: "queue"})
	}
	for _, z := range delayed.Val() {
		f.live.add(inDelayed(z, p.now))
	}
	for _, h := range p.workers {
		for _, payload := range h.payloads {
			f.live.add(h.sighting(payload, p.now, i.lease))
		}
	}
	for _, letter := range dead.Val() {
		payload, _ := letter.Values["payload"].(string)
		f.dead.add(sighting{payload: payload, place: "dead"})
	}
	return f, nil
}

func inDelayed(z redis.Z, now time.Time) sighting {
	s := sighting{payload: z.Member.(string), place: "delayed"}
	if late := now.Sub(time.UnixMilli(int64(z.Score))); late > dueGrace {
		s.stuck = fmt.Sprintf("due %v ago", late.Round(time.Second))
	}
	return s
}

func (h holder) sighting(payload string, now time.Time, believed time.Duration) sighting {
	s := sighting{payload: payload, place: "processing:" + h.instance}
	switch {
	case h.state == Unregistered:
		s.owner = h.instance
	case h.overdue(now, believed) > 0:
		s.stuck = "its worker is gone and nobody gives it back"
	}
	return s
}

// byOrder finds messages by their order.
type byOrder map[int64][]sighting

func (b byOrder) add(s sighting) {
	m, _ := order.Decode([]byte(s.payload)) // whose it is shows also where it is invalid
	s.correlationID = m.CorrelationID
	id := max(m.OrderID, 0)
	b[id] = append(b[id], s)
}

// judge finds the faults. It goes by the status after the picture; of an order that
// was not open before, the message may be younger than the picture.
func (f findings) judge(before, after map[int64]order.Status) Verdict {
	v := Verdict{Faults: []Fault{}}
	for id := range before {
		if isOpen(after[id]) {
			v.Orders++
			f.judgeOrder(&v, id, after[id])
		}
	}
	for id, messages := range f.live {
		v.Messages += len(messages)
		status, exists := after[id]
		if exists && !isOpen(status) {
			v.Leftovers += len(messages)
			continue
		}
		all := slices.Concat(messages, f.dead[id])
		if exists && len(all) > 1 {
			v.Faults = append(v.Faults, doubled(id, status, all))
		}
		for _, m := range messages {
			v.Faults = append(v.Faults, m.faults(id, status)...)
		}
	}
	slices.SortFunc(v.Faults, worstFirst)
	return v
}

// judgeOrder looks for the messages of an open order.
func (f findings) judgeOrder(v *Verdict, id int64, status order.Status) {
	switch {
	case len(f.live[id]) > 0:
	case len(f.dead[id]) > 0:
		v.Dead++
	default:
		v.Faults = append(v.Faults, Fault{
			Kind: Lost, OrderID: id, Status: status, Places: []string{}, Detail: "it has no message anywhere",
			identity: fmt.Sprint(Lost, id),
		})
	}
}

func doubled(id int64, status order.Status, all []sighting) Fault {
	f := Fault{
		Kind: Doubled, OrderID: id, CorrelationID: all[0].correlationID, Status: status,
		Detail:   fmt.Sprintf("it has %d messages", len(all)),
		identity: fmt.Sprint(Doubled, id), // they may move between two looks
	}
	for _, s := range all {
		f.Places = append(f.Places, s.place)
	}
	return f
}

// faults are those of the message by itself. Its order is open or does not exist.
func (s sighting) faults(id int64, status order.Status) []Fault {
	var faults []Fault
	found := func(kind Kind, detail string) {
		f := Fault{
			Kind: kind, OrderID: id, CorrelationID: s.correlationID, Status: status, Places: []string{s.place}, Detail: detail,
			identity: fmt.Sprint(kind, s.place, detail == noOrder, s.payload),
		}
		if id == 0 {
			f.Payload = s.payload
		}
		faults = append(faults, f)
	}
	if s.stuck != "" {
		found(Stuck, s.stuck)
	}
	if s.owner != "" {
		found(Orphaned, fmt.Sprintf("in the hand of %s, which is not registered", s.owner))
	}
	if status == "" && id != 0 {
		found(Orphaned, noOrder)
	}
	return faults
}

const noOrder = "there is no such order in PostgreSQL"

func worstFirst(a, b Fault) int {
	return cmp.Or(
		cmp.Compare(slices.Index(Kinds, a.Kind), slices.Index(Kinds, b.Kind)),
		cmp.Compare(a.OrderID, b.OrderID),
		slices.Compare(a.Places, b.Places),
		cmp.Compare(a.Payload, b.Payload),
	)
}
