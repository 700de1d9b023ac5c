package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"
)

// show prints v as JSON where that is asked for, and else what text says.
func (p *program) show(v any, text func() string) error {
	if p.json {
		e := json.NewEncoder(p.stdout)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	_, err := io.WriteString(p.stdout, text()+"\n")
	return err
}

// columns returns an empty table with these headings.
func columns(headings ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = "  "
	if len(headings) > 0 {
		t.AppendHeader(headings)
	}
	return t
}

// render is the table without the blanks that fill its last column.
func render(t table.Writer) string {
	var out strings.Builder
	for line := range strings.Lines(t.Render()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

type colour string

const (
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
)

// paint colours a text where colours are wanted: on a terminal, unless NO_COLOR is
// set.
func (p *program) paint(c colour, text string) string {
	if !isTerminal(p.stdout) || p.getenv("NO_COLOR") != "" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// isTerminal reports whether a reader or writer is one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// harmless is a text from a message, quoted if it holds what a terminal would obey,
// and cut if it is long.
func harmless(text string) string {
	const most = 80
	text = text[:min(len(text), (most+1)*utf8.UTFMax)] // it may be of any length
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return printable(text)
}

// printable is a text, quoted if it holds what a terminal would obey.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(text)
	}
	return text
}

// short is a duration as precise as people need it.
func short(d time.Duration) string {
	switch d.Abs() / time.Second {
	case 0:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// clock is a time as people read it.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// plural is "1 order" or "2 orders".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun + "s"
}
