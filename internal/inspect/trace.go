package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// mostSearched is how many messages of the queue are looked at for one order.
const mostSearched = 1_000_000

// Story is all that is known of one order.
type Story struct {
	OrderID  int64     `json:"order_id"`
	Order    *Row      `json:"order"`    // nil where PostgreSQL has no such order
	Messages []Place   `json:"messages"` // [] where it has none
	Events   []Chapter `json:"events"`   // the oldest first, as far as they are kept

	// Unsearched is how many messages of the queue, its oldest, were not looked at: it is
	// too long.
	Unsearched int64 `json:"unsearched"`
}

// Row is the order in PostgreSQL.
type Row struct {
	ProductID *int64       `json:"product_id"`
	Quantity  *int64       `json:"quantity"`
	Status    order.Status `json:"status"`
	CreatedAt *time.Time   `json:"created_at"`
	UpdatedAt *time.Time   `json:"updated_at"`
}

// Place is where a message of the order is.
type Place struct {
	Place         string `json:"place"` // queue, processing, delayed or dead
	CorrelationID string `json:"correlation_id"`
	Deliveries    int64  `json:"deliveries"` // charged so far

	Position int64 `json:"position,omitempty"` // in the queue; 1 is the next to be taken

	Instance string  `json:"instance,omitempty"` // the worker that has it in hand, or gave it up
	State    State   `json:"state,omitempty"`    // of that worker
	Age      *Millis `json:"age_ms,omitempty"`   // for how long it is being worked on; none if it was only claimed

	Due *Millis `json:"due_in_ms,omitempty"` // of a delayed one; negative once it is due

	Letter string       `json:"letter,omitempty"` // the id of a dead one
	Reason queue.Reason `json:"reason,omitempty"`
	Error  string       `json:"error,omitempty"`

	digest string // "" if it is dead
}

// Chapter is an event that the order is part of.
type Chapter struct {
	At     time.Time         `json:"at"`
	Event  string            `json:"event"`
	Fields map[string]string `json:"fields"` // the rest of what the event says
}

// ErrNothing means that neither Redis nor PostgreSQL knows what was asked for.
var ErrNothing = errors.New("nothing is known of it")

// Trace tells the story of one order, given its id or the correlation id of a message of it
// that Redis still knows; or [ErrNothing]. What is on the move while it looks may be told
// twice.
func (i *Inspector) Trace(ctx context.Context, idOrCorrelation string) (s Story, err error) {
	who := subject{correlation: idOrCorrelation}
	if id, err := strconv.ParseInt(idOrCorrelation, 10, 64); err == nil && id > 0 {
		who = subject{id: id}
	}
	if who.id == 0 {
		if s, err = i.search(ctx, &who); err != nil {
			return s, err
		}
		if who.id != 0 {
			who.correlation = "" // from here on all of its order
		}
	}
	for looks := 0; who.id != 0 && looks < 3; looks++ {
		if s, err = i.tell(ctx, &who); err != nil || !s.Astray() {
			break // else it may have been on its way from one place to the next
		}
	}
	if err == nil && s.Order == nil && len(s.Messages)+len(s.Events) == 0 {
		err = ErrNothing
	}
	return s, err
}

// tell is one look for all of an order.
func (i *Inspector) tell(ctx context.Context, who *subject) (Story, error) {
	s, err := i.search(ctx, who)
	if err == nil {
		s.OrderID = who.id
		s.Order, err = i.row(ctx, who.id)
	}
	return s, err
}

// Astray reports whether the order needs a message and none was found.
func (s *Story) Astray() bool {
	return s.Order != nil && isOpen(s.Order.Status) && len(s.Messages) == 0 && s.Unsearched == 0
}

// subject is what is searched for: an order or, as long as that is unknown, a correlation id.
type subject struct {
	id          int64
	correlation string
}

// is reports whether something is about the subject. Of a correlation id it learns the order.
func (s *subject) is(id int64, correlation string) bool {
	if s.correlation == "" {
		return id == s.id
	}
	if correlation == s.correlation && id != 0 {
		s.id = id
	}
	return correlation == s.correlation
}

// search looks for messages and events of a subject in Redis.
func (i *Inspector) search(ctx context.Context, who *subject) (s Story, err error) {
	s = Story{Messages: []Place{}, Events: []Chapter{}}
	for _, look := range []func(context.Context, *subject, *Story) error{
		i.searchQueue, i.searchHands, i.searchDelayed, i.searchLetters, i.searchEvents, i.countDeliveries,
	} {
		if err := look(ctx, who, &s); err != nil {
			return s, fmt.Errorf("look into Redis: %w", err)
		}
	}
	return s, nil
}

// message adds what a payload is, if it is about the subject.
func (s *Story) message(who *subject, payload string, place Place) {
	m, _ := order.Decode([]byte(payload)) // whose it is shows also where it is invalid
	if who.is(m.OrderID, m.CorrelationID) {
		place.CorrelationID, place.digest = m.CorrelationID, queue.Digest([]byte(payload))
		s.Messages = append(s.Messages, place)
	}
}

func (i *Inspector) searchQueue(ctx context.Context, who *subject, s *Story) error {
	searched := int64(0)
	for w, err := range i.reader.Waiting(ctx) {
		if err != nil {
			return err
		}
		if searched++; searched > i.mostSearched {
			s.Unsearched = w.Ahead + 1
			return nil
		}
		s.message(who, w.Payload, Place{Place: "queue", Position: w.Ahead + 1})
	}
	return nil
}

func (i *Inspector) searchHands(ctx context.Context, who *subject, s *Story) error {
	p, err := i.take(ctx, func(redis.Pipeliner) {})
	if err != nil {
		return err
	}
	for _, h := range p.workers {
		for _, payload := range h.payloads {
			place := Place{Place: "processing", Instance: h.instance, State: h.state}
			if since, ok := h.started(queue.Digest([]byte(payload))); ok {
				place.Age = millis(max(0, p.now.Sub(since)))
			}
			s.message(who, payload, place)
		}
	}
	return nil
}

func (i *Inspector) searchDelayed(ctx context.Context, who *subject, s *Story) error {
	node, err := i.node(ctx)
	if err != nil {
		return err
	}
	now, err := node.Time(ctx).Result()
	if err != nil {
		return err
	}
	for d, err := range i.reader.Delayed(ctx) {
		if err != nil {
			return err
		}
		s.message(who, d.Payload, Place{Place: "delayed", Due: millis(d.Due.Sub(now))})
	}
	return nil
}

func (i *Inspector) searchLetters(ctx context.Context, who *subject, s *Story) error {
	for letter, err := range i.reader.Letters(ctx, queue.Selection{}) {
		if err != nil {
			return err
		}
		if l := readLetter(letter); who.is(l.OrderID, l.CorrelationID) {
			s.Messages = append(s.Messages, Place{
				Place: "dead", CorrelationID: l.CorrelationID, Deliveries: l.Deliveries,
				Instance: l.Instance, Letter: l.ID, Reason: l.Reason, Error: l.Error,
			})
		}
	}
	return nil
}

// searchEvents reads all events: there are a thousand or so, and they are short.
func (i *Inspector) searchEvents(ctx context.Context, who *subject, s *Story) error {
	events, err := i.rdb.XRange(ctx, i.keys.Events(), "-", "+").Result()
	if err != nil {
		return err
	}
	for _, e := range events {
		c := Chapter{At: streamTime(e.ID), Fields: map[string]string{}}
		for field, value := range e.Values {
			c.Fields[field], _ = value.(string)
		}
		id, _ := strconv.ParseInt(c.Fields["order_id"], 10, 64) // 0 where it is not about one order
		about := who.is(id, c.Fields["correlation_id"]) ||
			who.id != 0 && slices.Contains(strings.Fields(c.Fields["orders"]), strconv.FormatInt(who.id, 10))
		if !about {
			continue
		}
		c.Event = c.Fields["event"]
		delete(c.Fields, "event")
		s.Events = append(s.Events, c)
	}
	return nil
}

// countDeliveries reads what was charged to messages that are not dead.
func (i *Inspector) countDeliveries(ctx context.Context, _ *subject, s *Story) error {
	var alive []*Place
	var digests []string
	for n := range s.Messages {
		if p := &s.Messages[n]; p.digest != "" {
			alive, digests = append(alive, p), append(digests, p.digest)
		}
	}
	charged, err := i.charged(ctx, digests)
	for n, p := range alive {
		if err == nil {
			p.Deliveries = charged[n]
		}
	}
	return err
}

// row is the order in PostgreSQL, nil if there is none.
func (i *Inspector) row(ctx context.Context, id int64) (*Row, error) {
	rows, err := i.db.Query(ctx, `
		SELECT product_id::bigint, quantity::bigint, coalesce(status, ''), created_at, updated_at
		FROM orders WHERE id = $1::bigint`, id)
	if err != nil {
		return nil, fmt.Errorf("read the order from PostgreSQL: %w", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[Row])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the order from PostgreSQL: %w", err)
	}
	for _, at := range []*time.Time{row.CreatedAt, row.UpdatedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return row, nil
}
