package main

import (
	"context"
	"math/rand/v2"
	"time"

	"fulfillment-worker/internal/rig"
)

const pickups = 500

// pickup is how long an order waits for a worker that has nothing else to do.
type pickup struct {
	Orders int     `json:"orders"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

func (b *bench) measurePickup(ctx context.Context) error {
	lines := make(chan rig.Line, 100)
	w, _, err := b.start(ctx, "pickup", "bench_pickup", lines, noWork...)
	if err != nil {
		return err
	}
	defer w.Stop()
	var waits []time.Duration
	for range pickups {
		wait, err := b.pickUpOne(ctx, lines)
		if err != nil {
			return err
		}
		waits = append(waits, wait)
	}
	d := spread(waits)
	p := &pickup{pickups, ms(d.p50), ms(d.p99), ms(d.max)}
	b.report.Pickup = p
	say("\npickup: %d orders, one at a time, from just before LPUSH to the log line \"Processing order N\"", p.Orders)
	say("  p50 %.2f ms, p99 %.2f ms, max %.2f ms; the claimed row is committed by then", p.P50, p.P99, p.Max)
	return nil
}

// pickUpOne comes at a moment that has nothing to do with the worker's own turns.
func (b *bench) pickUpOne(ctx context.Context, lines <-chan rig.Line) (time.Duration, error) {
	if !sleep(ctx, 10*time.Millisecond+rand.N(20*time.Millisecond)) {
		return 0, ctx.Err()
	}
	ids, sent, err := b.order(ctx, "bench_pickup", 1)
	if err != nil {
		return 0, err
	}
	about := func(e rig.Event) func(rig.Line) bool {
		return func(l rig.Line) bool { return l.Event() == e && l.OrderID == ids[0] }
	}
	begun, err := await(ctx, lines, about(rig.Processing))
	if err != nil {
		return 0, err
	}
	_, err = await(ctx, lines, about(rig.Fulfilled))
	return begun.Time.Sub(sent), err
}
