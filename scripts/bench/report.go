package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is all figures of one run; what was not measured is absent.
type report struct {
	Machine     machine       `json:"machine"`
	Seconds     float64       `json:"seconds"`
	Idle        []idle        `json:"idle,omitempty"`
	Pickup      *pickup       `json:"pickup,omitempty"`
	Concurrent  *concurrent   `json:"concurrent,omitempty"`
	Kills       *kills        `json:"kills,omitempty"`
	Runs        runs          `json:"runs,omitempty"`
	Latency     []latency     `json:"latency,omitempty"`
	Allocations []allocations `json:"allocations,omitempty"`
	Queued      []queued      `json:"queued,omitempty"`
}

// runs are some of a report's.
type runs []run

// of are the runs of a cell, as often as it was measured.
func (all runs) of(c cell) (some runs) {
	for _, r := range all {
		if r.same() == c.same() {
			some = append(some, r)
		}
	}
	return some
}

func (all runs) each(figure func(run) float64) (figures []float64) {
	for _, r := range all {
		figures = append(figures, figure(r))
	}
	return figures
}

// figure is a line of the final table.
type figure struct {
	name, measured, goal string
	met                  bool // of no account without a goal
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
