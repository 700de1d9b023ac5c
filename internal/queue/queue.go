// Package queue is a reliable queue on Redis lists, fed by anybody who does LPUSH.
//
// A message is in exactly one place at a time: the queue, the processing list of
// the worker instance that claimed it, the delayed set, or the dead letters. Each
// move is one atomic command or script. A worker holds a lease while it lives; when
// the lease is over, any other worker's [Reaper] gives back what it held. An [Operator]
// changes the queue for people, a [Reader] reads it for those who look.
//
// # What callers may rely on
//
//   - At least once: a message is delivered until its handler returns nil or an
//     error that ends it ([Reject], or the last of its deliveries).
//   - Not exactly once: a handler may see a message again whose first delivery
//     succeeded, and two handlers may hold one message when a worker was presumed
//     dead and is not. Whoever stores results must fence them.
//   - First in, first out, as far as concurrency allows. What comes back goes to
//     the front.
//   - A delivery is charged when the handler fails, and when a worker dies, or is presumed
//     dead, out of whose hand somebody takes the order then ([Delivery.Start]); never for a
//     message alone, a hand-back, a lost reply or an outage.
//   - Only Redis's clock decides about leases and due times; a worker's own only makes it
//     ask whether it has a lease.
//
// # What this package never does
//
//   - It never decodes or changes a payload, and knows nothing of orders or SQL.
//   - It never repeats a command whose repetition could take a second message.
package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"fulfillment-worker/internal/metrics"

	"github.com/redis/go-redis/v9"
)

// Config says how the actors of a queue behave. All fields but the last are required.
type Config struct {
	Name            string        // of the queue; part of every key
	Worker          string        // this worker's name; each start adds a suffix of its own
	Version         string        // of this program, for people who look
	Concurrency     int           // messages worked on at once
	Lease           time.Duration // a worker silent for so long is presumed dead
	MaxDeliveries   int           // deliveries charged before a message is a dead letter
	RetryInitial    time.Duration // wait before the first retry; it doubles each time
	RetryMax        time.Duration // longest wait before a retry
	ShutdownTimeout time.Duration // how long handlers may go on once Consume's context is done
	MaxMessageBytes int           // a longer message is a dead letter at once
	Metrics         *metrics.Metrics
}

// Queue is one queue on one Redis, as the actors of this package share it: the
// [Consumer], the [Reaper] and the [Promoter].
type Queue struct {
	cfg  Config
	keys Keys
	rdb  Redis
	log  *slog.Logger

	delayedOne chan struct{}          // tells the promoter of this process to look
	living     atomic.Pointer[string] // the instance under which this process serves; nil: none
}

// New returns the queue that cfg names. It does not connect.
func New(rdb Redis, cfg Config, log *slog.Logger) *Queue {
	return &Queue{cfg: cfg, keys: NewKeys(cfg.Name), rdb: rdb, log: log, delayedOne: make(chan struct{}, 1)}
}

// newInstance is a name that no worker had before, so that a worker which starts
// again under its old name neither adopts nor hides what its dead twin held.
func (q *Queue) newInstance() string {
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // never fails
	return q.cfg.Worker + "-" + hex.EncodeToString(suffix)
}

// run runs a script on the control connections. The scripts that go through it
// may be repeated.
func (q *Queue) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return script.Run(ctx, q.rdb.control, keys, args...)
}

// bounded is ctx with the time that a command gets that does not block: for waiting
// for a connection, opening it and the answer together.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, commandTimeout)
}

// isReply reports whether err is an answer of Redis: a definite no. Any other
// error of a command leaves open whether it was carried out.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// sleep waits for d and reports true, or false as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
