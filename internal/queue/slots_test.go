package queue_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// A lease that is lost with all hands full costs no slot: each session holds as many
// messages as the first.
func TestConsumer_losesNoSlotWithItsLease(t *testing.T) {
	b := newBench(t)
	for i := range b.cfg.Concurrency {
		b.push(fmt.Sprint("m", i))
	}
	var running atomic.Int64
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, _ *queue.Delivery) error {
		running.Add(1)
		defer running.Add(-1)
		<-ctx.Done()
		return ctx.Err()
	})
	var instance string
	for round := range 10 {
		testenv.Eventually(t, 10*time.Second, fmt.Sprintf("session %d with its hands full", round), func() bool {
			all := b.instances()
			if len(all) != 1 || all[0] == instance || running.Load() != int64(b.cfg.Concurrency) {
				return false
			}
			instance = all[0]
			return true
		})
		must(t, b.rdb.ZAdd(t.Context(), b.keys.Workers(), zero(instance)).Err())
	}
}
