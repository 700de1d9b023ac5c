package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"
)

type colour string

const (
	red   colour = "\x1b[31m"
	green colour = "\x1b[32m"
	grey  colour = "\x1b[90m"
)

// account is what people read.
type account struct {
	out      io.Writer
	colours  bool
	gone     func()    // is called when nobody reads any more
	midnight time.Time // all times are counted from it

	mu sync.Mutex
}

func newAccount(out *os.File, gone func()) *account {
	return &account{out: out, gone: gone, colours: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == "", midnight: time.Now()}
}

func (a *account) line(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := fmt.Fprintf(a.out, format+"\n", args...); err != nil {
		a.gone()
	}
}

// at is a line that begins with the time.
func (a *account) at(format string, args ...any) {
	a.line("%s  %s", a.paint(grey, "t+%.1fs", time.Since(a.midnight).Seconds()), fmt.Sprintf(format, args...))
}

func (a *account) paint(c colour, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if !a.colours {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// columns returns an empty table with these headings.
func columns(headings ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = "  "
	t.AppendHeader(headings)
	return t
}

// print is the report as people read it.
func (r *report) print(a *account) {
	a.line("")
	t := columns("fault", "times", "what it did", "", "recovery p50", "p99", "max", "bound")
	for _, k := range r.Kinds {
		if k.Planned == 0 && k.Happened == 0 {
			continue
		}
		p50, p99, most, bound := "", "", "", ""
		if k.Measured > 0 {
			p50, p99, most, bound = short(k.P50), short(k.P99), short(k.Max), short(k.Bound)
		}
		t.AppendRow(table.Row{k.Name, k.Happened, k.Proof, k.Unit, p50, p99, most, bound})
	}
	for line := range strings.Lines(t.Render()) {
		a.line("%s", strings.TrimRight(line, " \n"))
	}
	if out := r.notDrawn(); len(out) > 0 {
		a.line("not drawn in so short a time: %s", strings.Join(out, ", "))
	}
	a.line("")
	f := columns("", "")
	f.ResetHeaders()
	for _, row := range r.figures() {
		f.AppendRow(table.Row{row[0], row[1]})
	}
	for line := range strings.Lines(f.Render()) {
		a.line("%s", strings.TrimRight(line, " \n"))
	}
	a.line("")
	if r.Verdict.Good {
		a.line("%s", a.paint(green, "GOOD: %s", r.Summary()))
		return
	}
	a.line("%s", a.paint(red, "BAD: %s", r.Summary()))
	for _, why := range r.Verdict.Reasons {
		a.line("  %s", a.paint(red, "%s", why))
	}
	a.line("  again: %s", r.Repeat)
}

func (r *report) notDrawn() (names []string) {
	for _, k := range r.Kinds {
		if k.Planned == 0 {
			names = append(names, k.Name)
		}
	}
	return names
}

// figures are the lines of the report beside the faults.
func (r *report) figures() [][2]string {
	t := r.Tally
	return [][2]string{
		{"orders", fmt.Sprintf("%d in the table, %d fulfilled", r.InTable, t.Fulfilled)},
		{"INSERT", r.Inserts.String()},
		{"LPUSH", r.Pushes.String()},
		{"lost", fmt.Sprint(len(r.Lost) + len(r.Vanished))},
		{"doubled", fmt.Sprint(t.Doubled.Count)},
		{"outside the contract", fmt.Sprint(t.Forbidden.Count)},
		{"left over in Redis", fmt.Sprint(len(r.Left))},
		{"histories", fmt.Sprintf("%d checked for linearizability, %d cannot be", t.Checked, t.Illegal.Count)},
		{"said by two", fmt.Sprintf("%d: a worker that missed PostgreSQL's answer took another's success for its own (allowed)", t.Unsure)},
		{"poison", fmt.Sprintf("%d pushed, %d dead letters, %d missing, %d strange", r.Burials.Pushed, r.Burials.Buried, r.Burials.Missing, r.Burials.Strange.Count)},
		{"work run again", fmt.Sprintf("%d times; %d take-overs of a row (allowed)", t.Repeated, t.Takeovers)},
		{"throughput", fmt.Sprintf("%.0f orders/s before, %.0f during, %.0f after; the floor is %.0f", r.Before, r.During, r.After, r.Floor)},
	}
}

func (s said3) String() string {
	return fmt.Sprintf("%d ok, %d failed, %d of unknown outcome", s.OK, s.Failed, s.Unknown)
}

// Summary is the verdict in one line.
func (r *report) Summary() string {
	n := 0
	for _, k := range r.Kinds {
		if k.Happened > 0 {
			n++
		}
	}
	return fmt.Sprintf("%s, %s of %s; lost %d, doubled %d, outside the contract %d, left over %d",
		plural(r.InTable, "order"), plural(len(r.Injuries), "fault"), plural(n, "kind"),
		len(r.Lost)+len(r.Vanished), r.Tally.Doubled.Count, r.Tally.Forbidden.Count, len(r.Left))
}
