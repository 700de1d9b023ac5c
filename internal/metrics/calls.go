package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is how a call to a server ended.
type Outcome int

// The outcomes of a call.
const (
	Answered   Outcome = iota
	Refused            // the server said no
	Unanswered         // there was no answer: what became of it is unknown
)

// calls are the metrics of calls to the servers.
type calls struct {
	one, many, commands *kinds
	together            *prometheus.HistogramVec
}

func newCalls(r registry) calls {
	took := r.took("fulfillment_postgres_call_duration_seconds",
		"Statements sent to PostgreSQL until their answer was read, by what they do and whether for one order or for many at once: where it grows, orders wait for PostgreSQL.",
		"statement", "orders")
	failed := kept(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fulfillment_postgres_call_errors_total",
		Help: "Statements that PostgreSQL refused or did not answer; each is tried again or belongs to one order.",
	}, []string{"statement", "orders", "outcome"}))
	of := func(orders string) *kinds {
		label := prometheus.Labels{"orders": orders}
		return &kinds{took: took.MustCurryWith(label), failed: failed.MustCurryWith(label)}
	}
	return calls{
		one: of("one"), many: of("many"),
		together: r.sizes("fulfillment_postgres_statement_orders",
			"Orders in a statement that is about many: how well they share it.", "statement"),
		commands: &kinds{
			took: r.took("fulfillment_redis_call_duration_seconds",
				"Round trips to Redis, by the command or the script; blmove waits up to a second for a message. Where others grow, Redis or the network is slow.",
				"command"),
			failed: kept(r, prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: "fulfillment_redis_call_errors_total",
				Help: "Round trips that Redis refused or did not answer.",
			}, []string{"command", "outcome"})),
		},
	}
}

// kinds are calls by their name.
type kinds struct {
	took   prometheus.ObserverVec
	failed *prometheus.CounterVec
	known  sync.Map // name to observer: cheaper than the vector's own
}

func (k *kinds) observe(name string, took time.Duration, outcome Outcome) {
	observer, ok := k.known.Load(name)
	if !ok {
		observer, _ = k.known.LoadOrStore(name, k.took.WithLabelValues(name))
	}
	observer.(prometheus.Observer).Observe(took.Seconds())
	switch outcome {
	case Answered:
	case Refused:
		k.failed.WithLabelValues(name, "refused").Inc()
	case Unanswered:
		k.failed.WithLabelValues(name, "unanswered").Inc()
	}
}

// Redis counts a round trip to Redis.
func (m *Metrics) Redis(command string, took time.Duration, outcome Outcome) {
	if m != nil {
		m.commands.observe(command, took, outcome)
	}
}

// Postgres counts a statement that was sent to PostgreSQL.
func (m *Metrics) Postgres(statement string, took time.Duration, outcome Outcome) {
	if m != nil {
		m.one.observe(statement, took, outcome)
	}
}

// PostgresTogether counts a transaction about many orders, and how many share its statement;
// 0 is that each has its own.
func (m *Metrics) PostgresTogether(statement string, orders int, took time.Duration, outcome Outcome) {
	if m != nil {
		m.many.observe(statement, took, outcome)
		if orders > 0 {
			m.together.WithLabelValues(statement).Observe(float64(orders))
		}
	}
}
