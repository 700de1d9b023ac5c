package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	runs   = 3
	fewest = 1000 // orders of a run with one order in hand
	most   = 4000 // of any other
)

// throughput is how many orders a second pass that need no work at all.
type throughput struct {
	Concurrency int     `json:"concurrency"`
	Orders      int     `json:"orders"`
	Worker      rates   `json:"worker"`
	Plain       rates   `json:"plain"`
	Ratio       float64 `json:"ratio_of_medians"`
}

// rates are orders a second, over several runs.
type rates struct {
	Median float64 `json:"median_orders_per_second"`
	Min    float64 `json:"min_orders_per_second"`
	Max    float64 `json:"max_orders_per_second"`
}

func (r rates) String() string {
	return fmt.Sprintf("%.0f orders/s [%.0f to %.0f]", r.Median, r.Min, r.Max)
}

// consume has a system consume that queue, with so many orders at once, until it is
// stopped.
type consume func(ctx context.Context, name, queue string, concurrency int) (stop func(), err error)

func (b *bench) measureThroughput(ctx context.Context) error {
	say("\nthroughput: PROCESSING 0, median [and range] of %d runs of each, in turns; all else is default, so %s connections to PostgreSQL", runs, connections())
	say("  plain: as many goroutines, each BLMOVE, two UPDATE, LREM; it has no lease, no retry, no token and no log")
	for _, concurrency := range []int{1, 10, 64, 256} {
		t, err := b.compare(ctx, concurrency)
		if err != nil {
			return err
		}
		b.report.Throughput = append(b.report.Throughput, t)
		say("  WORKER_CONCURRENCY=%d: worker %v, plain %v, ratio %.2f", t.Concurrency, t.Worker, t.Plain, t.Ratio)
	}
	return nil
}

// compare runs the worker and the plain loop in turns, so that whatever else the
// machine does meets both.
func (b *bench) compare(ctx context.Context, concurrency int) (throughput, error) {
	t := throughput{Concurrency: concurrency, Orders: most}
	if concurrency == 1 {
		t.Orders = fewest
	}
	var worker, plain []float64
	for run := range runs {
		for _, system := range []struct {
			name  string
			rates *[]float64
			start consume
		}{{"worker", &worker, b.startWorker}, {"plain", &plain, b.startPlain}} {
			name := fmt.Sprintf("%s-%d-%d", system.name, concurrency, run+1)
			rate, err := b.drain(ctx, name, system.start, concurrency, t.Orders)
			if err != nil {
				return t, fmt.Errorf("%s: %w", name, err)
			}
			*system.rates = append(*system.rates, rate)
		}
	}
	t.Worker, t.Plain = ratesOf(worker), ratesOf(plain)
	t.Ratio = t.Worker.Median / t.Plain.Median
	return t, nil
}

func ratesOf(runs []float64) rates { return rates{median(runs), slices.Min(runs), slices.Max(runs)} }

// drain is the rate at which n orders are fulfilled: from just before the LPUSH that
// queues them all to the last row's updated_at. Orders before them have warmed up the
// connections.
func (b *bench) drain(ctx context.Context, name string, start consume, concurrency, n int) (float64, error) {
	if err := b.clear(ctx); err != nil {
		return 0, err
	}
	queue := "bench_" + name
	stop, err := start(ctx, name, queue, concurrency)
	if err != nil {
		return 0, err
	}
	defer stop()
	if _, _, err := b.order(ctx, queue, 2*concurrency); err != nil {
		return 0, err
	}
	if err := b.awaitAll(ctx); err != nil {
		return 0, err
	}
	_, begin, err := b.order(ctx, queue, n)
	if err != nil {
		return 0, err
	}
	if err := b.awaitAll(ctx); err != nil {
		return 0, err
	}
	var end time.Time
	if err := b.db.QueryRow(ctx, `SELECT max(updated_at) FROM orders`).Scan(&end); err != nil {
		return 0, err
	}
	return float64(n) / end.Sub(begin).Seconds(), nil
}

// startWorker runs the worker at its default settings. Nobody reads its log.
func (b *bench) startWorker(_ context.Context, name, queue string, concurrency int) (func(), error) {
	w, err := b.rig.Start(name, nil, append(noWork, "QUEUE_NAME="+queue, "WORKER_CONCURRENCY="+strconv.Itoa(concurrency))...)
	if err != nil {
		return nil, err
	}
	return w.Stop, nil
}
