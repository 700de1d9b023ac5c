package fulfil

import (
	"context"
	"math/rand/v2"
	"time"

	"fulfillment-worker/internal/order"
)

// Simulation is work that only takes time: a random one between Min and Max.
type Simulation struct {
	Min, Max time.Duration
}

// Do waits, and returns the cause of ctx's end if that comes first.
func (s Simulation) Do(ctx context.Context, _ order.Message) error {
	if s.Max == 0 {
		return nil
	}
	timer := time.NewTimer(s.Min + rand.N(s.Max-s.Min+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
