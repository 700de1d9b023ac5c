package main

import (
	"fmt"
)

// figures are the lines of the final table: what was measured, and what it should be.
func (r *report) figures() []figure {
	var all []figure
	for _, some := range [][]figure{r.ratios(), r.idleFigures(), r.otherFigures()} {
		all = append(all, some...)
	}
	return all
}

// ratios hold the worker against what was measured beside it.
func (r *report) ratios() (all []figure) {
	rate := func(c cell) float64 {
		c.Section = "throughput"
		return ratesOf(r.Runs.of(c)).Median
	}
	best := func(systems []string, store string, inHand ...int) (most float64, name string) {
		for _, system := range systems {
			for _, k := range inHand {
				c := cell{System: system, Store: store, InHand: k}
				if is := rate(c); is > most {
					most, name = is, fmt.Sprintf("%s, %d in hand", system, k)
				}
			}
		}
		return most, name
	}
	compare := func(name string, is, than float64, goal float64, against string) {
		if is == 0 || than == 0 {
			return
		}
		all = append(all, figure{
			name, fmt.Sprintf("%.2f x: %.0f against %.0f orders/s%s", is/than, is, than, against),
			fmt.Sprintf("at least %.2g x", goal), is/than >= goal,
		})
	}
	every := []int{1, 10, 64, 256, 1024}
	in256 := rate(cell{System: "worker", InHand: 256})
	plain, which := best([]string{"plain"}, "plain", every...)
	compare("256 in hand, against the plain loop at its best", in256, plain, 8, " ("+which+")")
	asynq, which := best([]string{"asynq"}, "plain", every...)
	compare("256 in hand, against asynq as it comes", in256, asynq, 10, " ("+which+")")
	group, which := best([]string{"plain", "rmq", "rmq-fast", "asynq", "work", "river-fast"}, "group", 256)
	compare("256 in hand, against the best peer with a group commit", in256, group, 2, " ("+which+")")
	compare("1024 in hand, against the batch prototype", rate(cell{System: "worker", InHand: 1024}), rate(cell{System: "batch"}), 0.55, "")
	compare("256 in hand, with info logs against LOG_LEVEL=warn", in256, rate(cell{System: "worker", InHand: 256, Log: "warn"}), 0.8, "")
	compare("1 in hand, against the plain loop", rate(cell{System: "worker", InHand: 1}), rate(cell{System: "plain", Store: "plain", InHand: 1}), 1, "")
	return all
}

func (r *report) idleFigures() (all []figure) {
	for _, i := range r.Idle {
		if i.System != "worker" {
			continue
		}
		all = append(all,
			figure{"idle, Redis commands, in scripts too", fmt.Sprintf("%.2f /s", i.Commands), "at most 10 /s", i.Commands <= 10},
			figure{"idle, Redis commands sent", fmt.Sprintf("%.2f /s", i.Sent), "", false},
			figure{"idle, CPU", fmt.Sprintf("%.2f %% of a core", i.CPU*100), "below 1 %", i.CPU < 0.01},
			figure{"idle, resident memory", fmt.Sprintf("%.1f MB", i.RSS), "below 40 MB", i.RSS < 40})
	}
	if p := r.Pickup; p != nil {
		all = append(all,
			figure{"pick-up when idle, p50 / p99 / max", fmt.Sprintf("%.2f / %.2f / %.2f ms", p.Logged.P50, p.Logged.P99, p.Logged.Max), "", false},
			figure{
				"from LPUSH to fulfilment when idle, p99", fmt.Sprintf("%.2f ms", p.Worker.P99),
				fmt.Sprintf("the plain loop's %.2f ms", p.Plain.P99), p.Worker.P99 <= p.Plain.P99,
			})
	}
	return all
}

func (r *report) otherFigures() (all []figure) {
	if c := r.Concurrent; c != nil {
		all = append(all, figure{
			fmt.Sprintf("%d orders in hand", c.Slots), fmt.Sprintf("%.0f orders/s, %.1f %%", c.Rate, c.Share*100),
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
