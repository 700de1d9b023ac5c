package watch

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"
)

const lettersShown = 100 // the newest

// Letter is a dead letter.
type Letter struct {
	ID            string
	At            time.Time
	OrderID       int64
	CorrelationID string
	Reason        string
	Error         string
	Deliveries    int64
	Instance      string
	Payload       string
}

// LettersReader reads the newest dead letters, so many at most.
type LettersReader func(ctx context.Context, most int) ([]Letter, error)

// lettersRead is what it found.
type lettersRead struct {
	letters []Letter
	err     error
}

// what names the letter to people.
func (l Letter) what() string {
	if l.OrderID == 0 {
		return "the dead letter " + l.ID + " (" + plain(l.Reason) + ")"
	}
	return fmt.Sprintf("order %d (%s)", l.OrderID, plain(l.Reason))
}

// readLetters reads them while they are shown.
func (s *Screen) readLetters() tea.Cmd {
	if s.page != lettersPage || s.redis.silent() {
		return nil
	}
	return func() tea.Msg {
		ctx, cancel := within()
		defer cancel()
		list, err := s.letters(ctx, lettersShown)
		return lettersRead{list, err}
	}
}

func (s *Screen) keepLetters(read lettersRead) {
	s.deadErr = ""
	if read.err != nil {
		s.deadErr = plain(read.err.Error())
		return
	}
	s.dead = read.letters
	s.letter.find(s.letterNames())
}

func (s *Screen) letterNames() (names []string) {
	for _, l := range s.dead {
		names = append(names, l.ID)
	}
	return names
}

// chosenLetter is the one that the keys act upon.
func (s *Screen) chosenLetter() (Letter, bool) {
	if s.page != lettersPage || len(s.dead) == 0 {
		return Letter{}, false
	}
	return s.dead[s.letter.find(s.letterNames())], true
}

// lettersBody is the list, and below it all of the chosen letter.
func (s *Screen) lettersBody(height int) []string {
	columns := letterColumns(s.width)
	lines := []string{heading(columns, s.width, true)}
	switch {
	case s.deadErr != "":
		return append(lines, bad.Render("  "+s.deadErr))
	case len(s.dead) == 0 && s.frame.Dead == 0:
		return append(lines, dim.Render("  none"))
	case len(s.dead) == 0:
		return append(lines, dim.Render("  …"))
	}
	chosen, _ := s.chosenLetter()
	about := chosen.card().lines(s.width)
	place := max(min(len(s.dead), 3), min(len(s.dead), height-1-len(about)))
	from, to := s.letter.window(s.letterNames(), place)
	for i := from; i < to; i++ {
		lines = append(lines, marked(s.letterRow(columns, s.dead[i]), i == s.letter.at, true))
	}
	return append(lines, about...)
}

func letterColumns(width int) []column {
	columns := []column{{"dead", 7, true}, {"reason", 13, false}, {"order", 9, true}, {"tries", 5, true}, {"error", 0, false}}
	rest := width - 2 - 7 - 13 - 9 - 5 - 4*len(gap)
	if rest < 10 {
		columns[3].width = 0
		rest += 5 + len(gap)
	}
	columns[4].width = max(0, rest)
	return columns
}

func (s *Screen) letterRow(columns []column, l Letter) string {
	return row(columns, age(s.clock().Sub(l.At)), bad.Render(plain(l.Reason)), strong.Render(orderID(l.OrderID)),
		fmt.Sprint(l.Deliveries), dim.Render(plain(l.Error)))
}

func (l Letter) card() card {
	c := card{title: "dead letter " + l.ID}
	c.addTime("since", l.At)
	c.add("reason", l.Reason)
	c.add("error", l.Error)
	c.add("order", orderID(l.OrderID))
	c.add("correlation id", l.CorrelationID)
	c.add("deliveries", fmt.Sprint(l.Deliveries))
	c.add("worker", l.Instance)
	c.add("payload", l.Payload)
	return c
}
