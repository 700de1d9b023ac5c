package watch

import (
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// card is a page about one thing.
type card struct {
	title  string
	fields []field
}

type field struct{ name, value string }

// add puts a text from anywhere on the card; nothing where there is none.
func (c *card) add(name, value string) {
	if value != "" {
		c.fields = append(c.fields, field{plain(name), plain(value)})
	}
}

func (c *card) addTime(name string, t time.Time) {
	if t.UnixMilli() > 0 {
		c.add(name, t.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	}
}

func (c card) lines(width int) []string {
	names := 0
	for _, f := range c.fields {
		names = max(names, ansi.StringWidth(f.name))
	}
	columns := []column{{c.title, names, false}, {"", max(1, width-2-names-len(gap)), false}}
	lines := []string{heading([]column{{c.title, width - 2, false}}, width, true)}
	for _, f := range c.fields {
		name := dim.Render(f.name)
		for part := range strings.SplitSeq(ansi.Wrap(f.value, columns[1].width, ""), "\n") {
			lines = append(lines, "  "+row(columns, name, part))
			name = ""
		}
	}
	return lines
}
