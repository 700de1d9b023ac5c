package watch

import (
	"slices"
	"strings"

	"fulfillment-worker/internal/inspect"

	"charm.land/lipgloss/v2"
)

// rate is a line of the charts.
type rate struct {
	name  string
	of    func(inspect.Sample) float64
	style lipgloss.Style
	unit  func(float64) string
}

var rates = []rate{
	{"fulfilled", func(s inspect.Sample) float64 { return s.Fulfilled }, good, perSecond},
	{"claimed", func(s inspect.Sample) float64 { return s.Claimed }, accent, perSecond},
	{"retried", func(s inspect.Sample) float64 { return s.Retried }, warn, perSecond},
	{"waiting", func(s inspect.Sample) float64 { return float64(s.Waiting) }, none, func(n float64) string { return grouped(int64(n)) }},
}

// shownRates leaves out what the figures say, too, where there is little room.
func (s *Screen) shownRates() []rate {
	if s.height < tall {
		return rates[:3]
	}
	return rates
}

// chartHeight is the lines of each chart.
func (s *Screen) chartHeight() int {
	if s.height < tall || s.width < wide {
		return 1
	}
	return 3
}

func (s *Screen) ratesHeight() int { return 1 + len(s.shownRates())*s.chartHeight() }

func (s *Screen) drawRates(width, height int) []string {
	var last inspect.Sample
	if n := len(s.samples); n > 0 {
		last = s.samples[n-1]
	}
	columns := []column{{"rates", 9, false}, {"", 9, true}, {"", 0, false}, {"latency    p50     p95", latencyWidth, false}}
	if width < 60 {
		columns[3].width = 0
	}
	columns[2].width = room(columns, width)
	columns[2].title = "the last " + plural(int64(columns[2].width), "second")
	lines := []string{heading(columns, width, false)}
	latencies := latencies(last)
	for _, r := range s.shownRates() {
		plot := chart(values(s.samples, columns[2].width, r.of), columns[2].width, s.chartHeight())
		name, value := r.name, strong.Render(r.unit(r.of(last)))
		for _, line := range plot {
			latency := ""
			if len(latencies) > 0 {
				latency, latencies = latencies[0], latencies[1:]
			}
			lines = append(lines, "  "+row(columns, name, value, r.style.Render(line), latency))
			name, value = "", ""
		}
	}
	return lines[:min(len(lines), height)]
}

const latencyWidth = 23

// latencies are how long the last orders waited for their claim, and were worked on.
func latencies(s inspect.Sample) []string {
	columns := []column{{"", 7, false}, {"", 6, true}, {"", 6, true}}
	line := func(name string, p50, p95 inspect.Millis) string {
		if p95 == 0 {
			return row(columns, dim.Render(name), dim.Render("–"), dim.Render("–"))
		}
		return row(columns, dim.Render(name), span(p50.Duration()), span(p95.Duration()))
	}
	return []string{line("waited", s.WaitedP50, s.WaitedP95), line("worked", s.WorkedP50, s.WorkedP95)}
}

// values are the last n.
func values(samples []inspect.Sample, n int, of func(inspect.Sample) float64) []float64 {
	var list []float64
	for _, s := range lastOf(max(0, n), samples) {
		list = append(list, of(s))
	}
	return list
}

var eighths = []rune(" ▁▂▃▄▅▆▇█")

// chart draws the values from right to left, the highest of them as high as the chart. What
// is not nothing has at least an eighth.
func chart(values []float64, width, height int) []string {
	highest := 0.0
	if len(values) > 0 {
		highest = slices.Max(values)
	}
	lines := make([]string, height)
	for i := range lines {
		var line strings.Builder
		line.WriteString(strings.Repeat(" ", max(0, width-len(values))))
		below := (height - 1 - i) * 8
		for _, v := range values {
			n := 0
			if v > 0 {
				n = max(1, int(v/highest*float64(height*8)+0.5))
			}
			line.WriteRune(eighths[min(8, max(0, n-below))])
		}
		lines[i] = line.String()
	}
	return lines
}
