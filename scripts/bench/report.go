package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is all figures of one run; what was not measured is absent.
type report struct {
	Machine    machine      `json:"machine"`
	Seconds    float64      `json:"seconds"`
	Idle       *idle        `json:"idle,omitempty"`
	Pickup     *pickup      `json:"pickup,omitempty"`
	Concurrent *concurrent  `json:"concurrent,omitempty"`
	Kills      *kills       `json:"kills,omitempty"`
	Throughput []throughput `json:"throughput,omitempty"`
}

// figure is a line of the final table.
type figure struct {
	name, measured, goal string
	met                  bool // of no account without a goal
}

func (r *report) figures() []figure {
	var all []figure
	if i := r.Idle; i != nil {
		all = append(all,
			figure{"idle, Redis commands, in scripts too", fmt.Sprintf("%.2f /s", i.Commands), "at most 10 /s", i.Commands <= 10},
			figure{"idle, Redis commands sent", fmt.Sprintf("%.2f /s", i.Sent), "", false},
			figure{"idle, CPU", fmt.Sprintf("%.2f %% of a core", i.CPU*100), "below 1 %", i.CPU < 0.01},
			figure{"idle, resident memory", fmt.Sprintf("%.1f MB", i.RSS), "below 40 MB", i.RSS < 40})
	}
	if p := r.Pickup; p != nil {
		all = append(all, figure{"pick-up when idle, p50 / p99 / max", fmt.Sprintf("%.2f / %.2f / %.2f ms", p.P50, p.P99, p.Max), "", false})
	}
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
	for _, t := range r.Throughput {
		all = append(all, figure{fmt.Sprintf("throughput with %d in hand", t.Concurrency), fmt.Sprintf("%.0f orders/s, %.2f of plain", t.Worker.Median, t.Ratio), "", false})
	}
	return all
}

func (r *report) print(out io.Writer) {
	say("")
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(t, "FIGURE\tMEASURED\tGOAL\t")
	for _, f := range r.figures() {
		verdict := ""
		if f.goal != "" {
			verdict = map[bool]string{true: "met", false: "MISSED"}[f.met]
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.name, f.measured, f.goal, verdict)
	}
	_ = t.Flush()
	say("measured in %.0f s", r.Seconds)
}
