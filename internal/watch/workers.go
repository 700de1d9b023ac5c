package watch

import (
	"fmt"
	"slices"
	"time"

	"fulfillment-worker/internal/inspect"

	"github.com/charmbracelet/x/ansi"
)

// workerNames are the lines of the panel: all workers together, then each.
func (s *Screen) workerNames() []string {
	names := []string{""}
	for _, w := range s.frame.Workers {
		names = append(names, w.Instance)
	}
	return names
}

// chosenWorkers are the worker that is chosen, or all.
func (s *Screen) chosenWorkers() []inspect.Member {
	if at := s.worker.find(s.workerNames()); at > 0 {
		return s.frame.Workers[at-1 : at]
	}
	return s.frame.Workers
}

func (s *Screen) alive() (n int) {
	for _, w := range s.frame.Workers {
		if w.State == inspect.Alive {
			n++
		}
	}
	return n
}

func (s *Screen) workerColumns(width int) []column {
	longest := ansi.StringWidth(s.totalName())
	for _, w := range s.frame.Workers {
		longest = max(longest, ansi.StringWidth(plain(w.Instance)))
	}
	columns := []column{
		{"workers", 0, false},
		{"lease", max(6, min(24, width/6)), false},
		{"", 6, true},
		{"in hand", 9, true},
		{"up", 6, true},
		{"host", 0, false},
		{"version", 0, false},
	}
	if width < 56 {
		columns[4].width = 0
	}
	columns[0].width = max(8, min(longest, room(columns, width)))
	for i, wanted := range []int{5: 12, 6: 10} {
		if wanted > 0 && room(columns, width) >= wanted {
			columns[i].width = wanted
		}
	}
	return columns
}

func (s *Screen) drawWorkers(width, height int) []string {
	columns, focused := s.workerColumns(width), s.focus == onWorkers
	lines := []string{heading(columns, width, focused)}
	names := s.workerNames()
	from, to := s.worker.window(names, height-1)
	for i := from; i < to; i++ {
		line := s.totalRow(columns)
		if i > 0 {
			line = s.workerRow(columns, s.frame.Workers[i-1])
		}
		lines = append(lines, marked(line, i == s.worker.at && (focused || i > 0), focused))
	}
	return lines
}

// totalRow is all workers in one line.
func (s *Screen) totalRow(columns []column) string {
	return row(columns, s.totalName(), "", "", handText(s.frame.InHand(), s.slots()), "", "", "")
}

func (s *Screen) totalName() string {
	name := fmt.Sprintf("all %d", len(s.frame.Workers))
	if gone := len(s.frame.Workers) - s.alive(); gone > 0 {
		name += bad.Render(fmt.Sprintf(", %d gone", gone))
	}
	return name
}

func (s *Screen) workerRow(columns []column, w inspect.Member) string {
	lease, left := s.leaseCells(columns[1].width, w)
	return row(columns, plain(w.Instance), lease, left, handText(w.InHand, int64(w.Concurrency)),
		s.sinceText(w.StartedAt), dim.Render(plain(w.Host)), dim.Render(plain(w.Version)))
}

func handText(inHand, slots int64) string {
	return fmt.Sprintf("%d/%d", inHand, slots)
}

// sinceText is how long ago that was by Redis's clock; nothing where it is unknown.
func (s *Screen) sinceText(t time.Time) string {
	if t.UnixMilli() <= 0 {
		return ""
	}
	return dim.Render(age(s.clock().Sub(t)))
}

// leaseCells are the lease as a bar that runs down, and as a number.
func (s *Screen) leaseCells(width int, w inspect.Member) (drawing, left string) {
	if w.LeaseLeft == nil {
		return bad.Render(fit("condemned", width)), ""
	}
	d := w.LeaseLeft.Duration() - s.clock().Sub(s.frame.At)
	if d <= 0 {
		return bad.Render(fit("lease over", width)), bad.Render(age(-d))
	}
	share := 1.0
	if w.LeaseTTL != nil {
		share = float64(d) / float64(max(w.LeaseTTL.Duration(), time.Millisecond))
	}
	full, rest := bar(share, width)
	style := good
	switch {
	case s.redis.silent():
		style = dim
	case share < 0.3:
		style = bad
	case share < 0.6:
		style = warn
	}
	return style.Render(full) + dim.Render(rest), age(d)
}

// workerCard is all that is known of the chosen worker.
func (s *Screen) workerCard() func() card {
	at := s.worker.find(s.workerNames())
	if at == 0 {
		return nil
	}
	w := s.frame.Workers[at-1]
	return func() card {
		c := card{title: "worker " + plain(w.Instance)}
		now := slices.IndexFunc(s.frame.Workers, func(m inspect.Member) bool { return m.Instance == w.Instance })
		if now >= 0 {
			w = s.frame.Workers[now]
			c.add("state", string(w.State))
		} else {
			c.add("state", "gone")
		}
		s.describe(&c, w)
		return c
	}
}

func (s *Screen) describe(c *card, w inspect.Member) {
	c.add("host", w.Host)
	c.add("process", fmt.Sprint(w.PID))
	c.add("version", w.Version)
	c.add("in hand", fmt.Sprintf("%d; it works on %d at once", w.InHand, w.Concurrency))
	c.addTime("joined", w.StartedAt)
	c.addTime("last beat", w.BeatAt)
	if w.LeaseTTL != nil {
		c.add("lease", w.LeaseTTL.Duration().String())
	}
	c.add("since its start", fmt.Sprintf("%s claimed, %s fulfilled, %s retried, %s dead", grouped(int64(w.Tally.Claimed)),
		grouped(int64(w.Tally.Fulfilled)), grouped(int64(w.Tally.Retried)), grouped(int64(w.Tally.Dead))))
}
