package watch

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// The terminal's own colours, so that they suit its background; it leaves them out with
// NO_COLOR. Nothing is said by colour alone.
var (
	none   = lipgloss.NewStyle()
	strong = lipgloss.NewStyle().Bold(true)
	dim    = lipgloss.NewStyle().Foreground(lipgloss.BrightBlack)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red)
	accent = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
	badge  = warn.Bold(true).Reverse(true).Padding(0, 1)
)

// plain is a text without what a terminal would obey, and without what would mislead a reader.
func plain(text string) string {
	const most = 4096 // of what may be of any length
	text = text[:min(len(text), most)]
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '·'
		}
		return r
	}, text)
}

// fit is the text, styled or not, in exactly that many cells.
func fit(text string, width int) string {
	text = ansi.Truncate(text, max(0, width), "…")
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// toRight is the text at the right end of that many cells.
func toRight(text string, width int) string {
	text = ansi.Truncate(text, max(0, width), "…")
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text))) + text
}

// column is a part of each line of a list.
type column struct {
	title string
	width int // 0 is not shown
	right bool
}

const gap = "  "

// room is what the columns leave of a line, for one more.
func room(columns []column, width int) int {
	width -= markWidth
	for _, c := range columns {
		if c.width > 0 {
			width -= c.width + len(gap)
		}
	}
	return max(0, width)
}

// row lays out the cells of a line, one for each column.
func row(columns []column, cells ...string) string {
	var shown []string
	for i, c := range columns {
		switch {
		case c.width <= 0:
		case c.right:
			shown = append(shown, toRight(cells[i], c.width))
		default:
			shown = append(shown, fit(cells[i], c.width))
		}
	}
	return strings.Join(shown, gap)
}

// heading is a rule with the columns' titles. The first column's is the list's name.
func heading(columns []column, width int, focused bool) string {
	line := []rune(strings.Repeat("─", max(0, width)))
	at := markWidth
	for _, c := range columns {
		if c.width <= 0 {
			continue
		}
		title := ansi.Truncate(c.title, c.width, "…")
		from := at
		if c.right {
			from += c.width - ansi.StringWidth(title)
		}
		if title != "" {
			copy(line[min(len(line), from-1):], []rune(" "+title+" "))
		}
		at += c.width + len(gap)
	}
	name, rule := strong, dim
	if focused {
		name, rule = accent.Bold(true), accent
	}
	begin := min(len(line), markWidth)
	end := min(len(line), begin+len([]rune(columns[0].title)))
	return rule.Render(string(line[:begin])) + name.Render(string(line[begin:end])) + rule.Render(string(line[end:]))
}

// markWidth is the room for the mark before each line of a list.
const markWidth = 2

// marked is a line of a list, with a mark where it is chosen.
func marked(line string, chosen, focused bool) string {
	switch {
	case chosen && focused:
		return accent.Bold(true).Render("▶ ") + line
	case chosen:
		return accent.Render("▷ ") + line
	}
	return "  " + line
}

// bar is a share of a line.
func bar(share float64, width int) (full, rest string) {
	n := int(min(1, max(0, share))*float64(width) + 0.5)
	return strings.Repeat("━", n), strings.Repeat("─", width-n)
}

// span is a duration in at most six cells.
func span(d time.Duration) string {
	switch d = max(0, d); {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// age is a span that changes by the tenth of a second at most.
func age(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1fs", max(0, d).Seconds())
	}
	return span(d)
}

// grouped is 1,234,567.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// perSecond is a rate, as precise as it is steady.
func perSecond(rate float64) string {
	switch {
	case rate == 0:
		return "0/s"
	case rate < 0.1:
		return "<0.1/s"
	case rate < 99.95:
		return fmt.Sprintf("%.1f/s", rate)
	}
	return grouped(int64(rate+0.5)) + "/s"
}

// plural is "1 order" or "2 orders".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

func timeOfDay(t time.Time) string { return t.UTC().Format(time.TimeOnly) }
