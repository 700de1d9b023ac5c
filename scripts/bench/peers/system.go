package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// message is an order as the Order API queues it.
type message struct {
	OrderID       int64  `json:"order_id"`
	ProductID     int    `json:"product_id"`
	Quantity      int    `json:"quantity"`
	CorrelationID string `json:"correlation_id"`
	Timestamp     string `json:"timestamp"`
}

// handler fulfils orders. It must return before the message is forgotten.
type handler func(ctx context.Context, ids ...int64) error

// system is a queue that has orders fulfilled.
type system interface {
	// enqueue queues messages, as the system's own producers do.
	enqueue(ctx context.Context, messages []message) error

	// run has the handler called for each message, for so many at once, until ctx is done.
	run(ctx context.Context, inHand int, handle handler) error
}

// systems are made for one run each.
var systems = map[string]func(o options, db *pgxpool.Pool) system{
	"plain": func(o options, _ *pgxpool.Pool) system { return newPlain(o.redis) },
	"rmq": func(o options, _ *pgxpool.Pool) system {
		return &rmqQueue{redis: o.redis, poll: 100 * time.Millisecond}
	}, // as in its example
	"rmq-fast":   func(o options, _ *pgxpool.Pool) system { return &rmqQueue{redis: o.redis, poll: 5 * time.Millisecond} },
	"asynq":      func(o options, _ *pgxpool.Pool) system { return &asynqQueue{redis: o.redis} },
	"work":       func(o options, _ *pgxpool.Pool) system { return &workQueue{redis: o.redis} },
	"river":      func(_ options, db *pgxpool.Pool) system { return &riverQueue{db: db} },
	"river-fast": func(_ options, db *pgxpool.Pool) system { return &riverQueue{db: db, cooldown: time.Millisecond} },

	"set-based":   func(o options, db *pgxpool.Pool) system { return &setBased{db: db, first: o.first, orders: o.orders} },
	"batch":       func(o options, db *pgxpool.Pool) system { return &batches{plain: newPlain(o.redis), db: db} },
	"redis-alone": func(o options, _ *pgxpool.Pool) system { return &batches{plain: newPlain(o.redis)} },
}

// isCeiling reports whether a system only shows what the servers can do.
func isCeiling(name string) bool {
	return name == "set-based" || name == "batch" || name == "redis-alone"
}

func names() []string { return slices.Sorted(maps.Keys(systems)) }

func open(ctx context.Context, o options, db *pgxpool.Pool) (system, error) {
	make, ok := systems[o.system]
	if !ok {
		return nil, fmt.Errorf("there is no system %q", o.system)
	}
	s := make(o, db)
	if r, ok := s.(*riverQueue); ok {
		return r, r.migrate(ctx, o.orders > 0)
	}
	return s, nil
}

// messages are those of n orders.
func messages(first, n int64) []message {
	all := make([]message, n)
	for i := range all {
		id := first + int64(i)
		all[i] = message{id, 1, 1, fmt.Sprintf("00000000-0000-4000-8000-%012d", id), "2026-01-31T12:00:00.123456"}
	}
	return all
}

func (m message) encode() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // numbers and strings can be written
	}
	return text
}

func decode(payload []byte) (m message, err error) {
	err = json.Unmarshal(payload, &m)
	return m, err
}

// producers are so many that a round trip for each message is bearable.
const producers = 32

// inParallel calls f for each message.
func inParallel(all []message, f func(message) error) error {
	var running sync.WaitGroup
	failed := make(chan error, producers)
	for i := range producers {
		running.Go(func() {
			for j := i; j < len(all); j += producers {
				if err := f(all[j]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	running.Wait()
	close(failed)
	return <-failed
}
