package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

var errNotAll = errors.New("not every order is fulfilled")

// latency is how long orders take from their arrival on, while others arrive.
type latency struct {
	System  string  `json:"system"`
	Store   string  `json:"store,omitempty"`
	InHand  int     `json:"in_hand"`
	Share   float64 `json:"share_of_maximum"`
	Maximum float64 `json:"maximum_orders_per_second"`
	Rate    float64 `json:"arrivals_per_second"`
	Orders  int     `json:"orders"`
	waited
}

// waited is a distribution in milliseconds.
type waited struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

func waitedFor(waits []time.Duration) waited {
	d := spread(waits)
	return waited{ms(d.p50), ms(d.p90), ms(d.p99), ms(d.p999), ms(d.max)}
}

func (w waited) String() string {
	return fmt.Sprintf("p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f ms", w.P50, w.P90, w.P99, w.P999, w.Max)
}

var shares = []float64{0.25, 0.5, 0.75, 0.9}

// latencyCells are systems whose queue is a list of messages as the Order API makes them.
func (b *bench) latencyCells() []cell {
	all := []cell{{System: "worker", InHand: 256}}
	if b.full {
		all = append(all, cell{System: "plain", Store: "plain", InHand: 64}, cell{System: "plain", Store: "group", InHand: 256})
	}
	return all
}

func (b *bench) measureLatency(ctx context.Context) error {
	long := time.Second
	if b.full {
		long = 10 * time.Second
	}
	say("\nlatency: orders arrive independently of each other for %v, at shares of what the system can bear;", long)
	say("  each order's wait is from when it should arrive to the beginning of the transaction that fulfils it")
	for _, c := range b.latencyCells() {
		maximum, err := b.bearable(ctx, c, long)
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		say("  %v: at most %.0f orders/s", c, maximum)
		for _, share := range shares {
			waits, rate, err := b.arrive(ctx, c, share*maximum, long)
			if err != nil {
				return fmt.Errorf("%v, at %.0f %%: %w", c, share*100, err)
			}
			l := latency{c.System, c.Store, c.InHand, share, maximum, rate, len(waits), waitedFor(waits)}
			b.report.Latency = append(b.report.Latency, l)
			say("    at %2.0f %%: %v", share*100, l.waited)
		}
	}
	return nil
}

// bearable is the rate at which a system fulfils orders while more of them arrive than it
// can bear. It is less than from a queue that was filled before: the producer needs Redis
// and a core as well.
func (b *bench) bearable(ctx context.Context, c cell, long time.Duration) (float64, error) {
	c.Orders = min(b.limit, orders/4)
	filled, err := b.measure(ctx, c)
	if err != nil {
		return 0, err
	}
	waits, rate, err := b.arrive(ctx, c, filled.Rate, long)
	if err != nil {
		return 0, err
	}
	return rate * long.Seconds() / (long + max(0, waits[len(waits)-1])).Seconds(), nil
}

// arrive lets orders arrive at that rate, for so long, and returns how long each took.
func (b *bench) arrive(ctx context.Context, c cell, rate float64, long time.Duration) (waits []time.Duration, arrived float64, err error) {
	times := poisson(rand.New(rand.NewPCG(1, uint64(rate))), rate, long)
	warmUp := 2 * c.InHand
	c.Orders = 0
	if err := b.clear(ctx); err != nil {
		return nil, 0, err
	}
	ids, err := b.insert(ctx, warmUp+len(times))
	if err != nil {
		return nil, 0, err
	}
	if err := b.settle(ctx); err != nil {
		return nil, 0, err
	}
	stop, queue, err := b.openEmpty(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	defer stop()
	for _, a := range []*arrivals{newArrivals(ids[0], make([]time.Duration, warmUp)), newArrivals(ids[warmUp], times)} {
		if err := a.send(ctx, b, queue); err != nil {
			return nil, 0, err
		}
		if err := b.awaitIDs(ctx, a.first, a.first+int64(len(a.times))-1); err != nil {
			return nil, 0, err
		}
		if waits, err = a.waits(ctx, b); err != nil {
			return nil, 0, err
		}
	}
	return waits, float64(len(times)) / long.Seconds(), nil
}

// openEmpty starts a system with an empty queue, and says which list that is.
func (b *bench) openEmpty(ctx context.Context, c cell) (stop func(), queue string, err error) {
	if c.System == "plain" {
		p, err := b.startPeer(ctx, c, b.here(), 0)
		if err != nil {
			return nil, "", err
		}
		return p.stop, plainQueue, p.begin(ctx)
	}
	s, err := b.openWorkers(ctx, c, "worker")
	if err != nil {
		return nil, "", err
	}
	return s.stop, c.queueName(), nil
}

// awaitIDs waits until those orders are fulfilled. It looks seldom, for that costs
// PostgreSQL something.
func (b *bench) awaitIDs(ctx context.Context, first, last int64) error {
	return waitUntil(ctx, 100*time.Millisecond, cellPatience, "not every order is fulfilled", func(ctx context.Context) (bool, error) {
		var open int
		err := b.db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE id BETWEEN $1 AND $2 AND status <> 'fulfilled'`, first, last).Scan(&open)
		return open == 0, err
	})
}
