package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// orders are the metrics of the way that an order goes, and of how its message may end.
type orders struct {
	claimed, fulfilled, retried, dead *atomic.Uint64 // what the Tally tells

	claims, settlements prometheus.Observer
	first, again        prometheus.Counter
	copies, putOffs     prometheus.Counter
	retries, letters    *prometheus.CounterVec

	waiting, working, endToEnd *timing
	clock                      *clock
}

func newOrders(r registry) orders {
	begun := r.counters("fulfillment_deliveries_total",
		"Times that the work on an order began, for the first time or again: its message had failed, or its worker had died.",
		"attempt")
	return orders{
		claimed: r.total("fulfillment_messages_claimed_total",
			"Messages taken from the queue into this worker's hands: where it stands still while messages wait, nobody claims."),
		fulfilled: r.total("fulfillment_orders_fulfilled_total",
			"Orders set fulfilled: the throughput."),
		retried: &atomic.Uint64{},
		dead:    &atomic.Uint64{},
		claims: r.sizes("fulfillment_claim_messages",
			"Messages that one claim got, where it got any: with one each the queue is empty, with many there is a backlog.").WithLabelValues(),
		settlements: r.sizes("fulfillment_settlement_messages",
			"Messages settled in one round trip to Redis: how well acknowledgements share it.").WithLabelValues(),
		first: begun.WithLabelValues("first"),
		again: begun.WithLabelValues("again"),
		copies: r.counter("fulfillment_copies_dropped_total",
			"Messages whose order was fulfilled before: copies by the producer, or an acknowledgement that was lost."),
		retries: r.counters("fulfillment_messages_retried_total",
			"Messages that failed and wait for another try, by the reason: look here when the delayed set grows.",
			"reason", "failed", "panic", "timeout", "try_later", "unknown_order"),
		letters: r.counters("fulfillment_dead_letters_total",
			"Messages given up, by the reason: each needs somebody to requeue or drop it.",
			"reason", "exhausted", "invalid", "malformed", "rejected", "too_large", "unknown_order"),
		putOffs: r.counter("fulfillment_messages_put_off_total",
			"Times that a message had to wait, uncharged, because somebody else has its order: copies, or the end of a take-over."),
		waiting: newTiming(r, "fulfillment_order_waiting_seconds",
			"From the producer's timestamp until a worker claimed the message, of orders begun for the first time: with a backlog it grows."),
		working: newTiming(r, "fulfillment_order_processing_seconds",
			"The work on orders that were fulfilled, without the steps in PostgreSQL and Redis: where it grows, look at what does the work."),
		endToEnd: newTiming(r, "fulfillment_order_end_to_end_seconds",
			"From the producer's timestamp until the order was fulfilled, retries and deaths included: what the customer waits."),
		clock: newClock(r),
	}
}

// total is a counter that can be read.
func (r registry) total(name, help string) *atomic.Uint64 {
	n := &atomic.Uint64{}
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) }))
	return n
}

// Claimed counts messages that one claim got.
func (m *Metrics) Claimed(messages int) {
	if m == nil || messages == 0 {
		return
	}
	m.claimed.Add(uint64(messages))
	m.claims.Observe(float64(messages))
}

// Begun counts an order whose work begins, given the number of the delivery, when its
// producer queued it, which may be unknown, and when it was claimed.
func (m *Metrics) Begun(delivery int, queued, claimed time.Time) {
	if m == nil {
		return
	}
	if delivery > 1 {
		m.again.Inc()
		return
	}
	m.first.Inc()
	if !queued.IsZero() {
		m.waiting.observe(m.clock.between(queued, claimed))
	}
}

// Fulfilled counts an order that is fulfilled, given how long the work took.
func (m *Metrics) Fulfilled(queued time.Time, work time.Duration) {
	if m == nil {
		return
	}
	m.fulfilled.Add(1)
	m.working.observe(work)
	if !queued.IsZero() {
		m.endToEnd.observe(m.clock.between(queued, time.Now()))
	}
}

// Copy counts a message whose order was fulfilled before.
func (m *Metrics) Copy() {
	if m != nil {
		m.copies.Inc()
	}
}

// Retried counts a message that failed and will be tried again.
func (m *Metrics) Retried(reason string) {
	if m != nil {
		m.retried.Add(1)
		m.retries.WithLabelValues(reason).Inc()
	}
}

// PutOff counts a message that waits for somebody else's work on its order.
func (m *Metrics) PutOff() {
	if m != nil {
		m.putOffs.Inc()
	}
}

// Dead counts messages that are dead letters now.
func (m *Metrics) Dead(reason string, messages int) {
	if m != nil && messages > 0 {
		m.dead.Add(uint64(messages))
		m.letters.WithLabelValues(reason).Add(float64(messages))
	}
}

// Settled counts messages that were settled in one round trip.
func (m *Metrics) Settled(messages int) {
	if m != nil {
		m.settlements.Observe(float64(messages))
	}
}

// Tally is what was counted since the start.
func (m *Metrics) Tally() Tally {
	if m == nil {
		return Tally{}
	}
	return Tally{
		Claimed: m.claimed.Load(), Fulfilled: m.fulfilled.Load(), Retried: m.retried.Load(), Dead: m.dead.Load(),
		Waiting: m.waiting.histogram(), Working: m.working.histogram(),
	}
}
