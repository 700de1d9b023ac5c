package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// patience is how long a scrape waits for those that it asks.
const patience = 2 * time.Second

// Pool is the state of a pool of connections.
type Pool struct {
	Most, Open, Idle        int
	Opened, Waits, Timeouts uint64        // since the start
	Waited                  time.Duration // all in all
}

// Pool has the state of a pool of connections shown.
func (m *Metrics) Pool(name string, look func() Pool) {
	if m != nil {
		m.pools.Store(name, look)
	}
}

func newPools(r registry) *sync.Map {
	most := describe(prometheus.GaugeValue, "fulfillment_pool_connections_max",
		"Connections that the pool may open.", "pool")
	connections := describe(prometheus.GaugeValue, "fulfillment_pool_connections",
		"Open connections: with all of them busy, callers wait.", "pool", "state")
	opened := describe(prometheus.CounterValue, "fulfillment_pool_connections_opened_total",
		"Connections opened: where it rises steadily, something closes them.", "pool")
	waits := describe(prometheus.CounterValue, "fulfillment_pool_waits_total",
		"Times that a caller had to wait for a connection: with many, the pool is too small or the server too slow.", "pool")
	waited := describe(prometheus.CounterValue, "fulfillment_pool_wait_seconds_total",
		"How long callers waited for a connection, all in all.", "pool")
	timeouts := describe(prometheus.CounterValue, "fulfillment_pool_timeouts_total",
		"Callers that waited for a connection in vain.", "pool")
	pools := &sync.Map{} // name to func() Pool
	r.ask(func(ch chan<- prometheus.Metric) {
		for key, look := range pools.Range {
			name, p := key.(string), look.(func() Pool)()
			most.tell(ch, float64(p.Most), name)
			connections.tell(ch, float64(p.Idle), name, "idle")
			connections.tell(ch, float64(p.Open-p.Idle), name, "busy")
			opened.tell(ch, float64(p.Opened), name)
			waits.tell(ch, float64(p.Waits), name)
			waited.tell(ch, p.Waited.Seconds(), name)
			timeouts.tell(ch, float64(p.Timeouts), name)
		}
	})
	return pools
}

// Hands has shown how many slots are busy, and how many messages are in hand.
func (m *Metrics) Hands(look func() (busy, inHand int)) {
	slots := describe(prometheus.GaugeValue, "fulfillment_slots_busy",
		"Orders being worked on: with all of fulfillment_slots busy and messages waiting, more workers or slots would help.")
	hand := describe(prometheus.GaugeValue, "fulfillment_messages_in_hand",
		"Messages in this worker's hands; more than slots are busy where finishes or acknowledgements are under way.")
	m.registry.ask(func(ch chan<- prometheus.Metric) {
		busy, inHand := look()
		slots.tell(ch, float64(busy))
		hand.tell(ch, float64(inHand))
	})
}

// Checks has the health shown: look says of each check whether it is passed.
func (m *Metrics) Checks(look func(context.Context) map[string]bool) {
	passed := describe(prometheus.GaugeValue, "fulfillment_check_passed",
		"1 for what /healthz and /readyz find well, 0 for what they do not: ask them why.", "check")
	m.registry.ask(func(ch chan<- prometheus.Metric) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for name, ok := range look(ctx) {
			passed.tell(ch, truth(ok), name)
		}
	})
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Queue is the whole queue, with the hands of all workers.
type Queue struct {
	Waiting, InHand, Delayed, Dead, Reconciled int64

	OldestAge *time.Duration // of the oldest waiting message; nil: none waits, or it does not tell
	LeaseLeft *time.Duration // the least of a living worker; nil: there is none
	Workers   map[string]int // by their state
	Paused    bool
}

// Queue has the whole queue shown, as look finds it. Every worker tells the same.
func (m *Metrics) Queue(look func(context.Context) (Queue, error)) {
	gauge := func(name, help string, labels ...string) described {
		return describe(prometheus.GaugeValue, "fulfillment_queue_"+name, help, labels...)
	}
	up := gauge("up", "1 if Redis could be asked about the whole queue at this scrape; at 0 the other fulfillment_queue metrics are missing.")
	waiting := gauge("waiting_messages", "Messages in the queue that nobody has claimed: the backlog.")
	oldest := gauge("oldest_message_age_seconds", "Age of the oldest waiting message by its producer's timestamp, 0 if none waits: by how much the workers are behind.")
	inHand := gauge("in_hand_messages", "Messages in the hands of all workers, dead ones included.")
	delayed := gauge("delayed_messages", "Messages that wait for another try.")
	dead := gauge("dead_letters", "Dead letters that nobody has requeued or dropped.")
	workers := gauge("workers", "Worker instances by state: alive; lapsed, soon to be reaped; condemned, being reaped. With none alive nobody works.", "state")
	left := gauge("lease_left_seconds", "The shortest lease of a living worker: near 0 somebody is about to be presumed dead.")
	paused := gauge("paused", "1 while somebody keeps all workers from claiming.")
	reconciled := describe(prometheus.CounterValue, "fulfillment_queue_reconciled_total",
		"Orders queued again, by whatever worker, because Redis knew nothing of them.")
	m.registry.ask(func(ch chan<- prometheus.Metric) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		q, err := look(ctx)
		up.tell(ch, truth(err == nil))
		if err != nil {
			return
		}
		waiting.tell(ch, float64(q.Waiting))
		inHand.tell(ch, float64(q.InHand))
		delayed.tell(ch, float64(q.Delayed))
		dead.tell(ch, float64(q.Dead))
		reconciled.tell(ch, float64(q.Reconciled))
		paused.tell(ch, truth(q.Paused))
		for state, n := range q.Workers {
			workers.tell(ch, float64(n), state)
		}
		switch {
		case q.OldestAge != nil:
			oldest.tell(ch, q.OldestAge.Seconds())
		case q.Waiting == 0:
			oldest.tell(ch, 0)
		}
		if q.LeaseLeft != nil {
			left.tell(ch, q.LeaseLeft.Seconds())
		}
	})
}
