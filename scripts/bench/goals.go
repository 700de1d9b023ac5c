package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// figure is a line of the final table.
type figure struct {
	name, measured, goal string
	met                  bool // of no account without a goal
}

func (f figure) verdict() string {
	switch {
	case f.goal == "":
		return ""
	case f.met:
		return "met"
	}
	return "MISSED"
}

// figures are what the benchmark comes to. What was not measured has none.
func (r *report) figures() []figure {
	return slices.Concat(r.rateFigures(), r.costFigures(), r.growthFigures(), r.idleFigures(), r.otherFigures())
}

// median is that of some figure over all runs of a cell of the section throughput, 0 where
// there are none.
func (r *report) median(c cell, of func(run) float64) float64 {
	c.Section = cmp.Or(c.Section, "throughput")
	if some := r.Runs.of(c); len(some) > 0 {
		return median(some.each(of))
	}
	return 0
}

func (r *report) rate(c cell) float64 {
	return r.median(c, rateOf)
}

// ratio is a cell's figure against another's: the median of the ratios within each repetition
// in which both ran, since a machine's own speed changes from one repetition to the next. It is
// 0 where there is none.
func (r *report) ratio(is, than cell, of func(run) float64) float64 {
	is.Section, than.Section = cmp.Or(is.Section, "throughput"), cmp.Or(than.Section, "throughput")
	beside := map[int]float64{}
	for _, one := range r.Runs.of(than) {
		beside[one.Repetition] = of(one)
	}
	var ratios []float64
	for _, one := range r.Runs.of(is) {
		if other := beside[one.Repetition]; other > 0 {
			ratios = append(ratios, of(one)/other)
		}
	}
	if len(ratios) == 0 {
		return 0
	}
	return median(ratios)
}

func rateOf(r run) float64 { return r.Rate }

// best is the fastest of some cells.
func (r *report) best(cells []cell) cell {
	return slices.MaxFunc(cells, func(a, c cell) int { return cmp.Compare(r.rate(a), r.rate(c)) })
}

// withEach is a cell for each number in hand that is measured.
func withEach(c cell) (all []cell) {
	for _, c.InHand = range []int{1, 10, 64, 256, 1024} {
		all = append(all, c)
	}
	return all
}

var (
	worker1    = cell{System: "worker", InHand: 1}
	worker256  = cell{System: "worker", InHand: 256}
	worker1024 = cell{System: "worker", InHand: 1024}
)

// rateFigures hold the worker's rate against what was measured beside it.
func (r *report) rateFigures() (all []figure) {
	var grouped []cell
	for _, system := range []string{"plain", "rmq", "rmq-fast", "asynq", "work", "river-fast"} {
		grouped = append(grouped, cell{System: system, Store: "group", InHand: 256})
	}
	for _, pair := range []struct {
		is   cell
		name string // of what it is held against; one of several where it is the best
		than cell
		goal float64
	}{
		{worker256, "the plain loop at its best", r.best(withEach(cell{System: "plain", Store: "plain"})), 8},
		{worker256, "asynq as it comes, at its best", r.best(withEach(cell{System: "asynq", Store: "plain"})), 10},
		{worker256, "the best peer with a group commit", r.best(grouped), 2},
		{worker1024, "the batch prototype", cell{System: "batch"}, 0.55},
		{worker256, "itself with LOG_LEVEL=warn", cell{System: "worker", InHand: 256, Log: "warn"}, 0.8},
		{cell{System: "worker", InHand: 256, Watched: true}, "itself with HTTP_ADDR=off", worker256, 0.95},
		{worker1, "the plain loop", cell{System: "plain", Store: "plain", InHand: 1}, 1},
	} {
		ratio := r.ratio(pair.is, pair.than, rateOf)
		if ratio == 0 {
			continue
		}
		measured := fmt.Sprintf("%.2f x: %s against %s orders/s", ratio, thousands(r.rate(pair.is)), thousands(r.rate(pair.than)))
		if strings.Contains(pair.name, "best") {
			measured += fmt.Sprintf(" (%s, %d in hand)", pair.than.unmarked(), pair.than.InHand)
		}
		name := fmt.Sprintf("%d in hand, ", pair.is.InHand)
		if pair.is.Watched {
			name += "scraped and with a page open, "
		}
		all = append(all, figure{
			name + "against " + pair.name, measured,
			fmt.Sprintf("at least %.3g x", pair.goal), ratio >= pair.goal,
		})
	}
	return all
}

func (r *report) costFigures() (all []figure) {
	if cpu := r.median(worker256, func(r run) float64 { return r.SystemCPU }); cpu > 0 {
		all = append(all, figure{"256 in hand, the worker's CPU for an order", fmt.Sprintf("%.1f µs", cpu), "below 20 µs", cpu < 20})
	}
	for _, a := range r.Allocations {
		if a.InHand == 256 {
			all = append(all, figure{"256 in hand, allocations for an order", fmt.Sprintf("%.1f", a.Count), "below 60", a.Count < 60})
		}
	}
	return all
}

// growthFigures hold the most of everything against the least.
func (r *report) growthFigures() (all []figure) {
	for _, grown := range []struct {
		size func(cell) int
		what string
	}{
		{func(c cell) int { return c.Older }, "rows in the table"},
		{func(c cell) int { return c.Behind }, "messages queued"},
	} {
		sizes := r.grownCells(grown.size)
		if len(sizes) < 2 {
			continue
		}
		least, most := sizes[0], sizes[len(sizes)-1]
		cpu := r.ratio(most, least, func(r run) float64 { return r.cpu() })
		time := r.ratio(least, most, rateOf)
		all = append(all, figure{
			fmt.Sprintf("an order with %s %s, against %s", thousands(float64(grown.size(most))), grown.what, thousands(float64(grown.size(least)))),
			fmt.Sprintf("%.2f x the time, %.2f x the CPU", time, cpu), "at most 1.2 x", max(time, cpu) <= 1.2,
		})
	}
	two, eight := worker256, worker256
	two.Section, two.Workers, eight.Section, eight.Workers = "growth", 2, "growth", 8
	if ratio := r.ratio(eight, two, rateOf); ratio > 0 {
		all = append(all, figure{
			"8 workers' throughput, against 2 workers'", fmt.Sprintf("%.2f x: %s against %s orders/s", ratio, thousands(r.rate(eight)), thousands(r.rate(two))),
			"at least 0.9 x", ratio >= 0.9,
		})
	}
	return all
}

// grownCells are the cells in which that has grown, the least first.
func (r *report) grownCells(size func(cell) int) (cells []cell) {
	for _, one := range r.Runs {
		if c := one.same(); c.Section == "growth" && size(c) > 0 && !slices.Contains(cells, c) {
			cells = append(cells, c)
		}
	}
	slices.SortFunc(cells, func(a, c cell) int { return size(a) - size(c) })
	return cells
}

func (r *report) idleFigures() (all []figure) {
	for _, i := range r.Idle {
		if i.System == "worker" {
			all = append(all,
				figure{"idle, Redis commands, in scripts too", fmt.Sprintf("%.2f /s", i.Commands), "at most 10 /s", i.Commands <= 10},
				figure{"idle, Redis commands sent", fmt.Sprintf("%.2f /s", i.Sent), "", false},
				figure{"idle, CPU", fmt.Sprintf("%.2f %% of a core", i.CPU*100), "below 1 %", i.CPU < 0.01},
				figure{"idle, resident memory", fmt.Sprintf("%.1f MB", i.RSS), "below 40 MB", i.RSS < 40})
		}
	}
	if p := r.Pickup; p != nil {
		all = append(all,
			figure{"idle, from LPUSH to work, p50 / p99 / max", fmt.Sprintf("%.2f / %.2f / %.2f ms", p.Logged.P50, p.Logged.P99, p.Logged.Max), "", false},
			figure{
				"idle, from LPUSH to fulfilment, p50 / p99", fmt.Sprintf("%.2f / %.2f ms", p.Worker.P50, p.Worker.P99),
				fmt.Sprintf("p99 no worse than the plain loop's, %.2f ms (%.2f to %.2f)", p.Plain.P99, p.PlainP99Low, p.PlainP99High),
				p.Worker.P99 <= p.PlainP99High,
			})
	}
	return all
}

func (r *report) otherFigures() (all []figure) {
	if c := r.Concurrent; c != nil {
		all = append(all, figure{
			fmt.Sprintf("%d orders in hand, 500 ms of work each", c.Slots), fmt.Sprintf("%.0f orders/s, %.1f %%", c.Rate, c.Share*100),
			fmt.Sprintf("at least 95 %% of %.0f", c.Possible), c.Share >= 0.95,
		})
	}
	if k := r.Kills; k != nil {
		all = append(all,
			figure{
				fmt.Sprintf("taken over after kill -9, p50 / max of %d", k.InHand), fmt.Sprintf("%.2f / %.2f s", k.P50, k.Max),
				fmt.Sprintf("at most lease + 1 s = %.0f s", k.Lease+1), k.Max <= k.Lease+1,
			},
			figure{"lost by kill -9", fmt.Sprint(k.Lost), "0", k.Lost == 0})
	}
	return all
}
