package queue

import (
	"fmt"
	"sync/atomic"
	"time"

	"fulfillment-worker/internal/metrics"
)

// turn remembers when a loop last turned. A turn that failed counts: an outage is no
// reason to restart a worker.
type turn struct {
	at      atomic.Pointer[time.Time]
	loop    metrics.Loop
	metrics *metrics.Metrics
}

func (t *turn) mark() {
	now := time.Now()
	t.at.Store(&now)
	t.metrics.Turned(t.loop)
}

func (t *turn) check(name string, limit time.Duration) error {
	last := t.at.Load()
	if last == nil {
		return nil // not begun
	}
	if silent := time.Since(*last); silent > limit {
		return fmt.Errorf("the %s has not turned for %v", name, silent.Round(time.Second))
	}
	return nil
}

// Alive returns nil if the claim loop and the heartbeat turned lately, whether they
// got anywhere or not. Otherwise only a restart can help.
func (c *Consumer) Alive() error {
	if err := c.claimTurn.check("claim loop", 15*time.Second); err != nil {
		return err
	}
	return c.beatTurn.check("heartbeat", 15*time.Second+c.cfg.Lease)
}
