// Package reconcile puts back what Redis has lost: PostgreSQL is the truth. An order
// that is not fulfilled, that nobody has touched for a while, and of which Redis knows
// nothing, gets a new message.
//
// # What callers may rely on
//
//   - One worker at a time looks, and all of them together look once an interval.
//   - An order whose message is in the queue, in hand, delayed or a dead letter gets no
//     second one, unless producers queue orders far out of their order. Where the queue is long, an order that may still be in it, because the
//     queue is first in, first out, waits until it cannot be any more.
//   - A look that fails, dies or freezes at any point leaves at worst a second message
//     for an order. Its work may then be done twice; it is fulfilled once.
//
// # What this package never does
//
//   - It never changes an order, and never takes a message away.
package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

// mark begins the correlation id of a message that this package made.
const mark = "reconciled-"

// batch is how many messages are put back at once.
const batch = 500

// Queue is the queue in Redis; [*queue.Queue] is the real one and documents the methods.
type Queue interface {
	Front(ctx context.Context) (payloads []string, more bool, err error)
	Elsewhere(ctx context.Context, message func(payload string), letter func(orderID string)) error
	PutBack(ctx context.Context, payloads, orderIDs []string) error
	LookDue(ctx context.Context) (time.Duration, error)
	Looked(ctx context.Context, pause time.Duration) error
}

var _ Queue = (*queue.Queue)(nil)

// Reconciler looks for lost orders. Every worker runs one. All fields but the last are
// required.
type Reconciler struct {
	Orders   *db.Orders
	Queue    Queue
	Name     string        // of the queue
	Interval time.Duration // between two looks
	After    time.Duration // how long an order must not have been touched
	Log      *slog.Logger
	Metrics  *metrics.Metrics
}

// Run looks whenever it is time, until ctx is done, and returns nil. A look that fails is
// tried again after a second, then after two, four and so on, at the latest after an
// interval: a table that takes too long to read is not read all the time.
func (r *Reconciler) Run(ctx context.Context) error {
	log := r.Log.With("actor", "reconciler")
	for failures := 0; ; {
		r.Metrics.Turned(metrics.Reconcile)
		wait, err := r.once(ctx, log)
		if err == nil {
			failures = 0
		} else {
			if failures == 0 && ctx.Err() == nil {
				log.WarnContext(ctx, "cannot look for lost orders, trying until it works", "error", err)
			}
			wait = min(r.Interval, time.Second<<min(failures, 20))
			failures++
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// busyPause is how long to wait for somebody else who is looking.
const busyPause = time.Second

// once looks, if it is time and nobody else is at it, and returns how long to wait before
// the next look may be due.
func (r *Reconciler) once(ctx context.Context, log *slog.Logger) (time.Duration, error) {
	select {
	case <-r.Orders.Available():
	case <-ctx.Done():
		return 0, nil
	}
	left, err := r.Queue.LookDue(ctx)
	if err != nil || left > 0 {
		return min(left, r.Interval), err
	}
	begin := time.Now()
	_, alone, err := r.Now(ctx)
	switch {
	case err != nil:
		return 0, err
	case !alone:
		return min(busyPause, r.Interval), nil
	}
	// From one beginning to the next: however long it took, nobody waits longer.
	left = max(r.Interval-time.Since(begin), time.Millisecond)
	if err := r.Queue.Looked(ctx, left); err != nil { // others will look, too, which does no harm
		log.DebugContext(ctx, "cannot note that it has looked", "error", err)
	}
	return left, nil
}

// Now looks, whether or not it is time, and returns what it has queued. It reports false if
// somebody else is at it. After an error some may be queued; the next look finds them.
func (r *Reconciler) Now(ctx context.Context) (queued []order.Message, alone bool, err error) {
	log := r.Log.With("actor", "reconciler")
	alone, err = r.Orders.Alone(ctx, r.Name, r.After, func(stale *db.Stale) error {
		lost, err := r.find(ctx, stale)
		if err != nil {
			return err
		}
		queued, err = r.putBack(ctx, log, stale, lost)
		return err
	})
	return queued, alone, err
}

// find returns the lost orders, the oldest first. What seems lost is looked for again and
// again: a message that moves while it looks is in one of its places the next time.
func (r *Reconciler) find(ctx context.Context, stale *db.Stale) ([]int64, error) {
	front, err := r.front(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := stale.IDs(ctx, front.horizon)
	if err != nil {
		return nil, err
	}
	for range 2 { // enough for a message that moves twice meanwhile
		if err := stale.Touch(ctx); err != nil {
			return nil, err
		}
		if ids = front.without(ids); len(ids) == 0 {
			return nil, nil
		}
		elsewhere := places{horizon: math.MaxInt64, known: map[int64]bool{}}
		if err := r.Queue.Elsewhere(ctx, elsewhere.message, elsewhere.letter); err != nil {
			return nil, err
		}
		ids = elsewhere.without(ids)
		if front, err = r.front(ctx); err != nil {
			return nil, err
		}
	}
	return front.without(ids), nil
}

// places are where orders are that Redis knows of.
type places struct {
	known   map[int64]bool
	horizon int64 // an order from here on may be farther back in the queue
}

// outliers bounds how many of the last messages that were looked at may be out of order,
// because they came back or were queued late.
const outliers = 50

// front looks at the messages that come next.
func (r *Reconciler) front(ctx context.Context) (places, error) {
	p := places{known: map[int64]bool{}, horizon: math.MaxInt64}
	payloads, more, err := r.Queue.Front(ctx)
	for _, payload := range payloads {
		p.message(payload)
	}
	if more {
		p.horizon = horizon(payloads)
	}
	return p, err
}

// horizon is the order up to which a queue was read whose oldest messages these are.
func horizon(payloads []string) int64 {
	var last []int64
	for _, payload := range payloads[max(0, len(payloads)-2*outliers):] {
		last = append(last, orderOf(payload))
	}
	if len(last) == 0 {
		return 0
	}
	slices.Sort(last)
	return last[len(last)/2]
}

// orderOf is the order that a message is about; 0 where it does not tell.
func orderOf(payload string) int64 {
	m, _ := order.Decode([]byte(payload)) // what could be read will do
	return m.OrderID
}

func (p places) message(payload string) { p.known[orderOf(payload)] = true }

func (p places) letter(orderID string) {
	if id, err := strconv.ParseInt(orderID, 10, 64); err == nil {
		p.known[id] = true
	}
}

// without are those of the orders that are not here and not behind the horizon.
func (p places) without(ids []int64) []int64 {
	return slices.DeleteFunc(ids, func(id int64) bool { return p.known[id] || id >= p.horizon })
}

// putBack queues lost orders, the youngest first, so that the oldest end up in front.
func (r *Reconciler) putBack(ctx context.Context, log *slog.Logger, stale *db.Stale, lost []int64) (queued []order.Message, err error) {
	for end := len(lost); end > 0; end -= batch {
		messages, err := stale.Messages(ctx, lost[max(0, end-batch):end])
		if err != nil {
			return queued, err
		}
		crash.At("reconciling")
		if err := r.queue(ctx, log, messages); err != nil {
			return queued, err
		}
		queued = append(queued, messages...)
	}
	if len(queued) > 0 {
		log.WarnContext(ctx, "queued again what Redis had lost", "orders", len(queued))
	}
	return queued, nil
}

func (r *Reconciler) queue(ctx context.Context, log *slog.Logger, messages []order.Message) error {
	if len(messages) == 0 {
		return nil
	}
	var payloads, ids []string
	for i := range messages {
		m := &messages[i]
		m.CorrelationID = mark + order.NewCorrelationID()
		payloads = append(payloads, m.Encode())
		ids = append(ids, strconv.FormatInt(m.OrderID, 10))
	}
	if err := r.Queue.PutBack(ctx, payloads, ids); err != nil {
		return err
	}
	r.Metrics.Reconciled(len(messages))
	for _, m := range messages {
		log.InfoContext(logger.WithOrder(ctx, m.OrderID, m.CorrelationID), fmt.Sprintf("Order %d queued again", m.OrderID))
	}
	return nil
}
