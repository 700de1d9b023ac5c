package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"time"
)

//go:embed report.html
var pageText string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"short": short}).Parse(pageText))

// page writes the report as one page that needs nothing else: no script, no other file.
func (r *report) page(out io.Writer) error { return pageTemplate.Execute(out, r.draw()) }

// Sizes of the drawing.
const (
	leftEdge   = 90.0
	plotWidth  = 1090.0
	plotHeight = 90.0
	laneHeight = 26.0
	mostBars   = 545 // of throughput: longer runs are drawn in longer steps
)

// drawing is the page's data: the report, and where things are in its picture.
type drawing struct {
	*report
	Title   string
	Figures [][2]string
	Missing []string

	Height float64
	Most   int // orders a second
	Bars   []bar
	Ticks  []tick
	Lanes  []drawnLane
	Spell  bar // in which there were faults
}

type bar struct {
	X, Y, W, H float64
	Text       string
}

type tick struct {
	X    float64
	Text string
}

type drawnLane struct {
	Name   string
	Y      float64
	Lives  []bar
	Faults []bar
	Heals  []bar
}

// scale turns times into places.
type scale struct {
	begin time.Time
	whole time.Duration
}

func (s scale) x(t time.Time) float64 {
	share := float64(t.Sub(s.begin)) / float64(s.whole)
	return leftEdge + plotWidth*min(1, max(0, share))
}

// span is a bar from one time to another, wide enough to be seen.
func (s scale) span(from, to time.Time, y, h float64, text string) bar {
	return bar{X: round(s.x(from)), Y: round(y), W: round(max(2, s.x(to)-s.x(from))), H: round(h), Text: text}
}

// round leaves no more digits than can be seen.
func round(x float64) float64 { return math.Round(10*x) / 10 }

func (r *report) draw() drawing {
	d := drawing{report: r, Title: "BAD", Figures: r.figures(), Missing: r.notDrawn(), Most: 1}
	if r.Verdict.Good {
		d.Title = "GOOD"
	}
	s := scale{r.HistoryBegin, max(time.Second, time.Duration(len(r.PerSecond))*time.Second)}
	d.drawThroughput(s)
	y := plotHeight + 40
	for _, name := range r.lanes() {
		d.Lanes = append(d.Lanes, r.drawLane(s, name, y))
		y += laneHeight
	}
	d.Height = y + 10
	d.Spell = s.span(r.FaultsBegin, r.FaultsEnd, 10, y-10, "faults")
	return d
}

func (d *drawing) drawThroughput(s scale) {
	d.Most = max(1, slices.Max(append(slices.Clone(d.PerSecond), 0)))
	step := (len(d.PerSecond) + mostBars - 1) / mostBars
	for first := 0; first < len(d.PerSecond); first += max(1, step) {
		part := d.PerSecond[first:min(len(d.PerSecond), first+step)]
		sum := 0
		for _, n := range part {
			sum += n
		}
		from := s.begin.Add(time.Duration(first) * time.Second)
		h := plotHeight * float64(sum) / float64(len(part)) / float64(d.Most)
		b := s.span(from, from.Add(time.Duration(len(part))*time.Second), 10+plotHeight-h, h, "")
		b.W = round(max(1, b.W-0.5))
		b.Text = fmt.Sprintf("%d orders/s at %s", sum/len(part), s.clock(from))
		d.Bars = append(d.Bars, b)
	}
	for n := range 11 {
		at := s.begin.Add(s.whole * time.Duration(n) / 10)
		d.Ticks = append(d.Ticks, tick{round(s.x(at)), s.clock(at)})
	}
}

func (s scale) clock(t time.Time) string {
	return t.Sub(s.begin).Round(100 * time.Millisecond).String()
}

// lanes are the names of the rows: the workers' places, and what else was hit.
func (r *report) lanes() []string {
	var names []string
	for _, l := range r.Lives {
		names = append(names, slot(l.Life))
	}
	for _, i := range r.Injuries {
		names = append(names, slot(i.Victim))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *report) drawLane(s scale, name string, y float64) drawnLane {
	lane := drawnLane{Name: name, Y: y}
	for _, l := range r.Lives {
		if slot(l.Life) == name {
			lane.Lives = append(lane.Lives, s.span(l.Begin, l.End, y+16, 3, fmt.Sprintf("%s, from %s to %s: %s", l.Life, s.clock(l.Begin), s.clock(l.End), l.How)))
		}
	}
	for _, i := range r.Injuries {
		if slot(i.Victim) != name {
			continue
		}
		text := fmt.Sprintf("%s at %s, %s: %d proofs", i.Fault, s.clock(i.Begin), short(i.End.Sub(i.Begin)), i.Proof)
		if i.Measured && i.Healed {
			text += ", recovered in " + short(i.Took)
			lane.Heals = append(lane.Heals, s.span(i.Since, i.Since.Add(i.Took), y+3, 10, text))
		}
		lane.Faults = append(lane.Faults, s.span(i.Begin, i.End, y+3, 10, text))
	}
	return lane
}
