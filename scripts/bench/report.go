package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// report is all figures of one run; what was not measured is absent.
type report struct {
	Machine     machine            `json:"machine"`
	Began       time.Time          `json:"began"`
	Command     string             `json:"command"`
	Full        bool               `json:"full"`
	File        string             `json:"-"` // that it was read from
	Seconds     float64            `json:"seconds"`
	BySection   map[string]float64 `json:"seconds_by_section"`
	Idle        []idle             `json:"idle,omitempty"`
	Pickup      *pickup            `json:"pickup,omitempty"`
	Concurrent  *concurrent        `json:"concurrent,omitempty"`
	Kills       *kills             `json:"kills,omitempty"`
	Recovery    []recovery         `json:"recovery,omitempty"`
	Runs        runs               `json:"runs,omitempty"`
	Failed      []failed           `json:"failed,omitempty"`
	Latency     []latency          `json:"latency,omitempty"`
	Allocations []allocations      `json:"allocations,omitempty"`
	Queued      []queued           `json:"queued,omitempty"`
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

func (r *report) print(out io.Writer) {
	say("")
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(t, "FIGURE\tMEASURED\tGOAL\t")
	for _, f := range r.figures() {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.name, f.measured, f.goal, f.verdict())
	}
	_ = t.Flush()
	say("measured in %.0f s", r.Seconds)
}

func (r *report) save(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
