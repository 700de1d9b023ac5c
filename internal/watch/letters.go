package watch

import (
	"fmt"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	tea "charm.land/bubbletea/v2"
)

const (
	lettersShown = 100  // the newest
	payloadShown = 2048 // bytes
)

// lettersRead is what it found.
type lettersRead struct {
	letters []inspect.Letter
	err     error
}

// what names a letter to people.
func what(l inspect.Letter) string {
	if l.OrderID == 0 {
		return "dead letter " + l.ID + " (" + plain(string(l.Reason)) + ")"
	}
	return fmt.Sprintf("order %d (%s)", l.OrderID, plain(string(l.Reason)))
}

// readLetters reads them while they are shown.
func (s *Screen) readLetters() tea.Cmd {
	if s.page != lettersPage || s.redis.silent() {
		return nil
	}
	return func() tea.Msg {
		ctx, cancel := within()
		defer cancel()
		list, _, err := s.inspector.Letters(ctx, queue.Selection{Newest: true, Head: payloadShown}, lettersShown)
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
func (s *Screen) chosenLetter() (inspect.Letter, bool) {
	if s.page != lettersPage || len(s.dead) == 0 {
		return inspect.Letter{}, false
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
	about := letterCard(chosen).lines(s.width)
	place := max(min(len(s.dead), 3), min(len(s.dead), height-1-len(about)))
	from, to := s.letter.window(s.letterNames(), place)
	for i := from; i < to; i++ {
		lines = append(lines, marked(s.letterRow(columns, s.dead[i]), i == s.letter.at, true))
	}
	return append(lines, about...)
}

func letterColumns(width int) []column {
	columns := []column{{"dead for", 8, false}, {"reason", 13, false}, {"order", 9, false}, {"charged", 7, true}, {"error", 0, false}}
	if width < 70 {
		columns[3].width = 0
	}
	if rest := room(columns, width); rest >= 8 {
		columns[4].width = rest
	}
	return columns
}

func (s *Screen) letterRow(columns []column, l inspect.Letter) string {
	return row(columns, age(s.clock().Sub(l.At)), bad.Render(plain(string(l.Reason))), strong.Render(orderID(l.OrderID)),
		fmt.Sprint(l.Deliveries), dim.Render(plain(l.Error)))
}

func letterCard(l inspect.Letter) card {
	c := card{title: "dead letter " + l.ID}
	c.addTime("since", l.At)
	c.add("reason", string(l.Reason))
	c.add("error", l.Error)
	c.add("order", orderID(l.OrderID))
	c.add("correlation id", l.CorrelationID)
	c.add("deliveries", fmt.Sprint(l.Deliveries))
	c.add("worker", l.Instance)
	if l.Bytes > len(l.Payload) {
		c.add("payload", fmt.Sprintf("%s, the first of %s bytes", l.Payload, grouped(int64(l.Bytes))))
		return c
	}
	c.add("payload", l.Payload)
	return c
}
