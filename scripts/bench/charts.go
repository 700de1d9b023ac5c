package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// chart is what scripts/bench/peers/plot draws, which knows these names.
type chart struct {
	File   string   `json:"file"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x"`
	LogY   bool     `json:"log_y"`
	Bars   []string `json:"bars"`
	Series []series `json:"series"`
}

type series struct {
	Name   string  `json:"name"`
	Dashed bool    `json:"dashed"`
	Points []point `json:"points"`
}

type point struct {
	X   float64 `json:"x"`
	Y   float64 `json:"y"`
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// charts are those that have something to show.
func (r *report) charts() (all []chart) {
	for _, c := range []chart{
		r.throughputChart(1, "throughput-plain.svg", "Orders without work, peers as they come"),
		r.throughputChart(2, "throughput-group.svg", "Orders without work, peers with a group commit in their handlers"),
		r.costChart(), r.latencyChart(), r.growthChart(),
	} {
		if len(c.Series) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// unmarked is a title without Markdown.
func (c cell) unmarked() string { return strings.NewReplacer("*", "", "`", "").Replace(c.title()) }

// throughputChart has the worker and the systems of that rank.
func (r *report) throughputChart(rank int, file, title string) chart {
	all := chart{File: file, Title: title, X: "orders in hand", Y: "orders/s", LogX: true, LogY: true}
	for _, c := range r.kinds() {
		if c.rank() != 0 && c.rank() != rank || c.Log != "" || c.Watched {
			continue
		}
		line := series{Name: c.unmarked(), Dashed: c.rank() != 0}
		for _, c.InHand = range r.inHands() {
			if rate := ratesOf(r.Runs.of(c)); rate.Runs > 0 {
				line.Points = append(line.Points, point{float64(c.InHand), rate.Median, rate.Min, rate.Max})
			}
		}
		all.Series = append(all.Series, line)
	}
	return all
}

func (r *report) costChart() chart {
	all := chart{File: "cost.svg", Title: "CPU of an order, 256 in hand", Y: "µs"}
	pieces := []series{{Name: "worker, or the peer's process"}, {Name: "PostgreSQL"}, {Name: "Redis"}}
	for _, c := range r.kinds() {
		c.InHand = 256
		if len(r.Runs.of(c)) == 0 || c.rank() == 3 || c.Log != "" || c.Watched {
			continue
		}
		at := float64(len(all.Bars))
		all.Bars = append(all.Bars, c.unmarked())
		for i, of := range []func(run) float64{
			func(r run) float64 { return r.SystemCPU }, func(r run) float64 { return r.PostgresCPU }, func(r run) float64 { return r.RedisCPU },
		} {
			pieces[i].Points = append(pieces[i].Points, point{X: at, Y: r.median(c, of)})
		}
	}
	if len(all.Bars) > 0 {
		all.Series = pieces
	}
	return all
}

func (r *report) latencyChart() chart {
	all := chart{File: "latency.svg", Title: "From arrival to fulfilment, open loop", X: "% of the system's own maximum", Y: "ms", LogY: true}
	for i, l := range r.Latency {
		if i%len(shares) == 0 {
			name := cell{System: l.System, Store: l.Store}.unmarked()
			all.Series = append(all.Series, series{Name: name + ", p50"}, series{Name: name + ", p99", Dashed: true})
		}
		p50, p99 := &all.Series[len(all.Series)-2], &all.Series[len(all.Series)-1]
		p50.Points = append(p50.Points, point{X: l.Share * 100, Y: l.P50})
		p99.Points = append(p99.Points, point{X: l.Share * 100, Y: l.P99})
	}
	return all
}

// growthChart has one line for each thing that grows.
func (r *report) growthChart() chart {
	all := chart{File: "growth.svg", Title: "This worker, 256 in hand, as the work grows", X: "times the least", Y: "orders/s", LogX: true}
	for _, what := range []string{"rows", "queued", "workers", "bytes"} {
		of := growths[what]
		cells := r.grownCells(of.size)
		line := series{Name: of.title}
		for _, c := range cells {
			rate := ratesOf(r.Runs.of(c))
			line.Points = append(line.Points, point{float64(of.size(c)) / float64(of.size(cells[0])), rate.Median, rate.Min, rate.Max})
		}
		if len(cells) > 0 {
			all.Series = append(all.Series, line)
		}
	}
	return all
}

// draw has scripts/bench/peers/plot write the charts into a directory.
func (r *report) draw(ctx context.Context, dir string) error {
	text, err := json.Marshal(r.charts())
	if err != nil {
		return err
	}
	top, err := topOfModule(ctx)
	if err != nil {
		return err
	}
	into, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "./plot", into)
	cmd.Dir, cmd.Env, cmd.Stdin = filepath.Join(top, peersDir), goEnvironment(), bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("draw: %w\n%s", err, out)
	}
	return nil
}
