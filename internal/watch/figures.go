package watch

import (
	"fmt"
	"time"

	"fulfillment-worker/internal/inspect"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// figure is a number, what it counts, and what else is known of it.
type figure struct {
	name  string
	n     int64
	style lipgloss.Style
	note  string
}

// figures are the places where a message may be, in the order in which it goes through them.
func (s *Screen) figures() []string {
	all := s.allFigures()
	if s.width < 70 || s.height < 16 {
		return flowing(all, s.width)
	}
	var columns []column
	var names, notes []string
	for _, f := range all {
		columns = append(columns, column{width: (s.width - 1) / len(all)})
		names = append(names, f.name+" "+f.style.Bold(true).Render(grouped(f.n)))
		notes = append(notes, dim.Render(f.note))
	}
	for i := range columns {
		columns[i].width -= len(gap)
	}
	return []string{" " + row(columns, names...), " " + row(columns, notes...), ""}
}

// flowing are the figures without their notes, as many to a line as fit.
func flowing(all []figure, width int) (lines []string) {
	line := ""
	for _, f := range all {
		next := " " + f.name + " " + f.style.Bold(true).Render(grouped(f.n)) + " "
		if line != "" && ansi.StringWidth(line+next) > width {
			lines = append(lines, line)
			line = ""
		}
		line += next
	}
	return append(lines, line)
}

func (s *Screen) allFigures() []figure {
	f := s.frame
	waiting := figure{name: "waiting", n: f.Waiting}
	if f.OldestAge != nil {
		waiting.note = "oldest " + age(f.OldestAge.Duration()+s.clock().Sub(f.At))
	}
	delayed := figure{name: "delayed", n: f.Delayed}
	if f.NextDue != nil {
		delayed.note = dueText(f.NextDue.Duration() - s.clock().Sub(f.At))
	}
	dead := figure{name: "dead", n: f.Dead}
	if f.Dead > 0 {
		dead.style, dead.note = bad, "d to look"
	}
	reconciled := figure{name: "put back", n: f.Reconciled}
	if f.Reconciled > 0 {
		reconciled.note = "lost by Redis"
	}
	return []figure{waiting, {name: "in hand", n: f.InHand(), note: fmt.Sprintf("of %s at once", grouped(s.slots()))}, delayed, dead, reconciled}
}

// slots is how many orders all living workers work on at once.
func (s *Screen) slots() (n int64) {
	for _, w := range s.frame.Workers {
		if w.State == inspect.Alive {
			n += int64(w.Concurrency)
		}
	}
	return n
}

// dueText is when the next delayed message comes back.
func dueText(left time.Duration) string {
	switch {
	case left > 0:
		return "next in " + age(left)
	case left > -time.Second:
		return "next now"
	}
	return "due for " + age(-left)
}
