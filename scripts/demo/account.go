package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

type colour string

const (
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
	grey   colour = "\x1b[90m"
)

// account is what people read: a line for each thing that happens.
type account struct {
	out      *os.File
	colours  bool
	midnight time.Time // all times are counted from it
}

func newAccount(out *os.File) *account {
	return &account{out: out, colours: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == "", midnight: time.Now()}
}

func (a *account) line(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format+"\n", args...) }

// at is a line that begins with when it happened.
func (a *account) at(when time.Time, format string, args ...any) {
	a.line("%s  %s", a.paint(grey, "%6s", a.clock(when)), fmt.Sprintf(format, args...))
}

// clock is the seconds from the beginning until when.
func (a *account) clock(when time.Time) string { return "t+" + seconds(when.Sub(a.midnight)) }

func (a *account) paint(c colour, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if !a.colours {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// bar draws counts as parts of a line, each in a letter of its own.
func bar(width int, letters string, counts ...int) string {
	whole, sum := 0, 0
	for _, n := range counts {
		whole += n
	}
	var b strings.Builder
	for i, n := range counts {
		sum += n
		b.WriteString(strings.Repeat(letters[i:i+1], width*sum/max(1, whole)-b.Len()))
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// list is "17, 18, 20".
func list(ids []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ", "), "[]")
}

// plural is "1 order" or "2 orders".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
