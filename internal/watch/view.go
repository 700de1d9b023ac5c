package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"fulfillment-worker/internal/inspect"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

const (
	wide = 120 // from so many columns on, there are two of panels
	tall = 34  // from so many lines on, charts are higher than one
	low  = 14  // below so many lines only the panel in focus is shown
)

// View draws the screen.
func (s *Screen) View() tea.View {
	v := tea.NewView(s.draw())
	v.AltScreen = true
	return v
}

// draw never makes more lines, or longer ones, than the terminal has.
func (s *Screen) draw() string {
	if s.width == 0 || s.height == 0 {
		return ""
	}
	head, foot := s.head(), s.foot()
	rest := max(0, s.height-len(head)-len(foot))
	lines := slices.Concat(head, filled(s.body(rest), rest))
	lines = append(lines[:min(len(lines), max(0, s.height-len(foot)))], foot...)
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, s.width, "")
	}
	return strings.Join(lines[:min(len(lines), s.height)], "\n")
}

// filled has exactly that many lines.
func filled(lines []string, height int) []string {
	lines = lines[:min(len(lines), height)]
	return append(slices.Clip(lines), make([]string, height-len(lines))...)
}

// head is the queue's name and state, what is wrong, and the figures.
func (s *Screen) head() []string {
	lines := []string{s.titleLine()}
	if s.redis.silent() {
		lines = append(lines, s.wrapped(bad, s.silenceText())...)
	}
	if s.postgres.silent() {
		text := fmt.Sprintf("PostgreSQL: no answer for %s, so orders have no status here: %s", age(s.now.Sub(s.postgres.since)), plain(s.postgres.why))
		lines = append(lines, s.wrapped(warn, text)...)
	}
	if s.frame.At.IsZero() {
		return lines
	}
	return append(lines, s.figures()...)
}

// wrapped is a text in three lines at most.
func (s *Screen) wrapped(style lipgloss.Style, text string) (lines []string) {
	for line := range strings.SplitSeq(ansi.Wrap(text, max(1, s.width-2), ""), "\n") {
		lines = append(lines, style.Render(" "+line))
	}
	return lines[:min(3, len(lines))]
}

func (s *Screen) silenceText() string {
	since := ""
	if !s.frame.At.IsZero() {
		since = " since " + timeOfDay(s.frame.At)
	}
	return fmt.Sprintf("Redis: no answer%s, for %s: %s", since, age(s.now.Sub(s.redis.since)), plain(s.redis.why))
}

func (s *Screen) titleLine() string {
	right := ""
	if !s.frame.At.IsZero() && s.width >= 50 {
		right = dim.Render(" " + timeOfDay(s.clock()) + " UTC ")
	}
	left := " " + strong.Render(plain(cmp.Or(s.frame.Queue, "queuectl watch"))) + "  " + s.stateText()
	return fit(left, s.width-ansi.StringWidth(right)) + right
}

// stateText says in a word or two how the queue is.
func (s *Screen) stateText() string {
	alive := s.alive()
	switch {
	case s.redis.silent():
		return bad.Render("no answer")
	case s.frame.At.IsZero():
		return dim.Render("looking …")
	case s.frame.Paused != nil:
		return badge.Render("PAUSED") + warn.Render(s.pauseText(*s.frame.Paused))
	case alive == 0:
		return bad.Render("no worker is alive")
	}
	return good.Render("● live") + dim.Render(", "+plural(int64(alive), "worker"))
}

// pauseText says for how long, by Redis's clock, and who wants it.
func (s *Screen) pauseText(p inspect.Pause) string {
	since, err := time.Parse(time.RFC3339, p.Since)
	if err != nil {
		return " by " + plain(p.By)
	}
	return fmt.Sprintf(" for %s by %s", age(s.clock().Sub(since)), plain(p.By))
}

func (s *Screen) body(height int) []string {
	switch s.page {
	case lettersPage:
		return s.lettersBody(height)
	case cardPage:
		return s.card().lines(s.width)
	case helpPage:
		return helpCard().lines(s.width)
	case livePage:
	}
	if s.frame.At.IsZero() {
		return nil
	}
	return s.panels(height)
}

// panel is a part of the live page: how many lines it could use, and how to draw it in the
// lines that it is given.
type panel struct {
	wants int
	draw  func(width, height int) []string
}

func (s *Screen) panels(height int) []string {
	workers := panel{1 + len(s.workerNames()), s.drawWorkers}
	orders := panel{1 + len(s.orderNames()), s.drawOrders}
	if s.unseenText() != "" {
		orders.wants++
	}
	events := panel{1 + max(1, len(s.events)), s.drawEvents}
	rates := panel{s.ratesHeight(), s.drawRates}
	switch {
	case height < low:
		return stacked(s.width, height, []panel{workers, orders, events}[s.focus])
	case s.width < wide:
		return stacked(s.width, height, rates, workers, orders, events)
	}
	left := s.width / 2
	right := s.width - left - len(gap)
	return beside(left, filled(stacked(left, height, workers, orders), height),
		filled(stacked(right, height, rates, events), height))
}

// stacked shares the height among the panels: each gets a line in turn until it wants no more.
func stacked(width, height int, all ...panel) []string {
	got := make([]int, len(all))
	for again := true; again && height > 0; {
		again = false
		for i, p := range all {
			if got[i] < p.wants && height > 0 {
				got[i]++
				height--
				again = true
			}
		}
	}
	var lines []string
	for i, p := range all {
		lines = append(lines, filled(p.draw(width, got[i]), got[i])...)
	}
	return lines
}

func beside(width int, left, right []string) []string {
	lines := make([]string, len(left))
	for i := range lines {
		lines[i] = fit(left[i], width) + gap + right[i]
	}
	return lines
}

// foot is the question that waits for an answer, or how the last one ended, or the keys.
func (s *Screen) foot() []string {
	switch {
	case s.question != nil:
		lines := s.wrapped(warn.Bold(true), s.question.text)
		return append(lines, keyLine([]key{{"y", "yes", ""}, {"n", "no", ""}}, s.width))
	case s.acting:
		return []string{dim.Render(" …")}
	case s.notice.text != "" && s.now.Before(s.notice.until):
		style := good
		if s.notice.bad {
			style = bad
		}
		return s.wrapped(style, s.notice.text)
	}
	switch s.page {
	case lettersPage:
		return []string{keyLine(lettersKeys, s.width)}
	case cardPage, helpPage:
		return []string{keyLine(backKeys, s.width)}
	case livePage:
	}
	return []string{keyLine(s.pageKeys(), s.width)}
}

// pageKeys are those of the live page; p says what it would do.
func (s *Screen) pageKeys() []key {
	keys := slices.Clone(liveKeys)
	if s.frame.Paused != nil {
		keys[slices.IndexFunc(keys, func(k key) bool { return k.name == "p" })].does = "resume"
	}
	return keys
}
