package main

import (
	"context"
	"fmt"
	"time"

	"fulfillment-worker/internal/rig"
)

const (
	slots    = 200
	workTime = 500 * time.Millisecond

	// Orders come in rounds of as many as there are slots. The rate is taken between
	// the middles of two rounds, far enough from the ends.
	firstRound = 2 * slots
	afterLast  = 3 * slots
)

// concurrent is how well a worker keeps many orders in hand.
type concurrent struct {
	Slots    int     `json:"slots"`
	Orders   int     `json:"orders"`
	Rate     float64 `json:"orders_per_second"`
	Possible float64 `json:"possible_orders_per_second"`
	Share    float64 `json:"share"`
}

func (b *bench) measureConcurrent(ctx context.Context) error {
	const queue = "bench_concurrent"
	backlog := 12 * slots
	if b.full {
		backlog = 30 * slots
	}
	lastRound := backlog - afterLast
	if err := b.clear(ctx); err != nil {
		return err
	}
	if err := b.order(ctx, queue, backlog); err != nil {
		return err
	}
	lines := make(chan rig.Line, 3*backlog)
	w, _, err := b.start(ctx, "concurrent", queue, lines, fmt.Sprintf("WORKER_CONCURRENCY=%d", slots),
		"PROCESSING_MIN="+workTime.String(), "PROCESSING_MAX="+workTime.String())
	if err != nil {
		return err
	}
	defer w.Stop()
	var ends []time.Time
	for len(ends) < backlog {
		l, err := await(ctx, lines, func(l rig.Line) bool { return l.Event() == rig.Fulfilled })
		if err != nil {
			return err
		}
		ends = append(ends, l.Time)
	}
	took := middle(ends[lastRound:lastRound+slots]) - middle(ends[firstRound:firstRound+slots])
	c := &concurrent{Slots: slots, Orders: backlog, Possible: slots / workTime.Seconds()}
	c.Rate = float64(lastRound-firstRound) / took.Seconds()
	c.Share = c.Rate / c.Possible
	b.report.Concurrent = c
	say("\nconcurrent: WORKER_CONCURRENCY=%d, %v of work each, a backlog of %d orders", slots, workTime, backlog)
	say("  %.0f orders/s, %.1f %% of the possible %.0f", c.Rate, c.Share*100, c.Possible)
	say("  (orders %d to %d, from the mean time of a round of %d to that of another)", firstRound+1, lastRound+slots, slots)
	return nil
}

// middle is the mean of times, since the epoch.
func middle(times []time.Time) time.Duration {
	var sum time.Duration
	for _, t := range times {
		sum += t.Sub(times[0])
	}
	return time.Duration(times[0].UnixNano()) + sum/time.Duration(len(times))
}
