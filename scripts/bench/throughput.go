package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// In the full benchmark all systems get as many orders, but where one of them would take
// minutes. In the quick one those that commit each step of each order get fewer: a cell
// takes two or three seconds.
const (
	orders       = 60_000
	ordersAlone  = 10_000 // with one in hand
	riverEachOne = 10     // orders a second that River does at its defaults, for each in hand

	often = 5 // how often the quick benchmark runs what the goals compare
)

// throughputCells are what the benchmark compares, in the order within one repetition.
// As they come, peers commit each step of each order; group is the same libraries with a
// store that commits many orders' steps at once. Those called fast poll more often than
// they do by default.
func throughputCells(full bool) []cell {
	if full {
		return fullCells()
	}
	return []cell{
		{System: "worker", InHand: 1, Orders: 1500, runs: often},
		{System: "plain", Store: "plain", InHand: 1, Orders: 1500, runs: often},
		{System: "plain", Store: "plain", InHand: 64, Orders: 6000, runs: often},
		{System: "worker", InHand: 256, Orders: orders, runs: often},
		{System: "worker", InHand: 256, Log: "warn", Orders: orders, runs: often},
		{System: "worker", InHand: 256, Watched: true, Orders: orders, runs: often},
		{System: "asynq", Store: "plain", InHand: 256, Orders: 5000, runs: often},
		{System: "rmq", Store: "plain", InHand: 256, Orders: 5000, runs: 1},
		{System: "work", Store: "plain", InHand: 256, Orders: 5000, runs: 1},
		{System: "river", Store: "plain", InHand: 256, Orders: 5000, runs: 1},
		{System: "plain", Store: "group", InHand: 256, Orders: 30_000, runs: often},
		{System: "rmq-fast", Store: "group", InHand: 256, Orders: 15_000, runs: 1},
		{System: "asynq", Store: "group", InHand: 256, Orders: 10_000, runs: 1},
		{System: "work", Store: "group", InHand: 256, Orders: 15_000, runs: 1},
		{System: "river-fast", Store: "group", InHand: 256, Orders: 15_000, runs: 1},
		{System: "worker", InHand: 1024, Orders: orders, runs: often},
		{System: "batch", Orders: orders, runs: often},
		{System: "set-based", Orders: orders, runs: 1},
		{System: "pgbench", InHand: 64, Orders: orders, runs: 1},
		{System: "redis-alone", Orders: orders, runs: 1},
	}
}

// fullCells are every system with every number in hand. What the goals compare runs three
// times, all else once.
func fullCells() []cell {
	var all []cell
	for _, inHand := range []int{1, 10, 64, 256, 1024} {
		n := orders
		if inHand == 1 {
			n = ordersAlone
		}
		all = append(all, cell{System: "worker", InHand: inHand, Orders: n, runs: 3})
		if inHand == 256 {
			all = append(all,
				cell{System: "worker", InHand: inHand, Log: "warn", Orders: n, runs: 3},
				cell{System: "worker", InHand: inHand, Watched: true, Orders: n, runs: 3})
		}
		for _, system := range []string{"plain", "rmq", "asynq", "work", "river", "river-fast"} {
			c := cell{System: system, Store: "plain", InHand: inHand, Orders: n, runs: 1}
			if system == "plain" && inHand != 10 && inHand != 1024 || system == "asynq" && inHand == 256 {
				c.runs = 3
			}
			if system == "river" {
				c.Orders = min(n, 10*riverEachOne*inHand)
			}
			all = append(all, c)
		}
		if inHand == 1 { // alone there is nothing to group
			continue
		}
		for _, system := range []string{"plain", "rmq", "rmq-fast", "asynq", "work", "river-fast"} {
			c := cell{System: system, Store: "group", InHand: inHand, Orders: n, runs: 1}
			if inHand == 256 {
				c.runs = 3
			}
			all = append(all, c)
		}
	}
	for _, ceiling := range []string{"batch", "set-based", "redis-alone"} {
		all = append(all, cell{System: ceiling, Orders: orders, runs: 3})
	}
	for _, clients := range []int{1, 10, 64} {
		all = append(all, cell{System: "pgbench", InHand: clients, Orders: orders, runs: 1})
	}
	return all
}

// measureThroughput goes through all cells again and again, so that whatever else the
// machine does meets all of them.
func (b *bench) measureThroughput(ctx context.Context) error {
	say("\nthroughput: orders without work, median [and range]; %d connections to PostgreSQL for each peer, the default for the worker", connections)
	return b.repeat(ctx, "throughput", throughputCells(b.full), func(ctx context.Context, c cell) (run, error) {
		if c.System == "pgbench" {
			return b.pgbench(ctx, c)
		}
		return b.measure(ctx, c)
	})
}

// repeat runs each cell as often as it says, and reports its figures after its last run.
func (b *bench) repeat(ctx context.Context, section string, cells []cell, measure func(context.Context, cell) (run, error)) error {
	most := 0
	for _, c := range cells { // there may be none
		most = max(most, c.runs)
	}
	for repetition := 1; repetition <= most; repetition++ {
		begin := time.Now()
		for _, c := range cells {
			if repetition > c.runs {
				continue
			}
			c.Section = section
			c.Orders = min(c.Orders, b.limit)
			r, err := measure(ctx, c)
			switch {
			case err == nil:
				r.Repetition = repetition
				b.report.Runs = append(b.report.Runs, r)
			case c.System == "worker" || ctx.Err() != nil:
				return err
			default: // one of them that fails leaves all the others to be measured
				f := failed{c, repetition, err.Error()}
				b.report.Failed = append(b.report.Failed, f)
				say("  failed: %v", f)
				if err := b.alone(ctx); err != nil {
					return err
				}
			}
			if some := b.report.Runs.of(c); repetition == c.runs && len(some) > 0 {
				say("  %-50v %v", c, ratesOf(some))
			}
		}
		if repetition < most {
			say("  (repetition %d of %d took %.0f s)", repetition, most, time.Since(begin).Seconds())
		}
	}
	return nil
}

// rates are orders a second, over several runs.
type rates struct {
	Median float64
	Min    float64
	Max    float64
	Runs   int
}

func (r rates) String() string {
	if r.Runs == 1 {
		return fmt.Sprintf("%6.0f orders/s", r.Median)
	}
	return fmt.Sprintf("%6.0f orders/s [%.0f to %.0f]", r.Median, r.Min, r.Max)
}

func ratesOf(all runs) rates {
	if len(all) == 0 {
		return rates{}
	}
	each := all.each(func(r run) float64 { return r.Rate })
	return rates{median(each), slices.Min(each), slices.Max(each), len(all)}
}
