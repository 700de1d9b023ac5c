package watch

import (
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// key is what a key does, for the last line and for the help.
type key struct {
	name, does, more string
}

var liveKeys = []key{
	{"q", "quit", "quit, as ctrl+c does"},
	{"?", "help", "this help"},
	{"p", "pause", "let no worker claim any more, or let them claim again; asks first"},
	{"d", "dead letters", "the dead letters, to requeue or drop"},
	{"tab", "panel", "the next panel: workers, orders in hand, events"},
	{"↑↓", "move", "move in the panel; also j k, page up and down, home and end"},
	{"enter", "details", "all that is known of the chosen line"},
}

var lettersKeys = []key{
	{"esc", "back", "back to the live view"},
	{"r", "requeue", "put the chosen message in front of the queue again; asks first"},
	{"x", "drop", "forget the chosen dead letter for good; asks first"},
	{"↑↓", "move", ""},
	{"?", "help", ""},
	{"q", "quit", ""},
}

var backKeys = []key{{"esc", "back", ""}, {"q", "quit", ""}}

// keyLine is as many of the keys as fit.
func keyLine(keys []key, width int) string {
	var line string
	for _, k := range keys {
		next := " " + strong.Render(k.name) + " " + dim.Render(k.does) + " "
		if ansi.StringWidth(line+next) > width {
			break
		}
		line += next
	}
	return line
}

// press does what a key stands for.
func (s *Screen) press(name string) tea.Cmd {
	s.notice = notice{}
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case name == "ctrl+l":
		return tea.ClearScreen
	case s.question != nil:
		return s.answer(name)
	case s.change(name), s.move(name):
		return nil
	}
	switch name {
	case "q":
		return s.leave()
	case "?":
		s.turn(helpPage)
	case "d":
		s.turn(lettersPage)
		return s.readLetters()
	case "esc", "backspace":
		s.page = livePage
	case "enter":
		s.open()
	case "p":
		s.askPause()
	case "r":
		s.askRequeue()
	case "x":
		s.askDrop()
	}
	return nil
}

// turn opens a page, or closes it where it is open.
func (s *Screen) turn(to page) {
	if s.page == to {
		to = livePage
	}
	s.page = to
}

// leave quits, once what was begun is done.
func (s *Screen) leave() tea.Cmd {
	s.leaving = true
	if s.acting {
		return nil
	}
	return tea.Quit
}

// change reports whether the key was one that changes the panel.
func (s *Screen) change(name string) bool {
	if s.page != livePage {
		return false
	}
	switch name {
	case "tab", "right", "l":
		s.focus = (s.focus + 1) % panels
	case "shift+tab", "left", "h":
		s.focus = (s.focus + panels - 1) % panels
	default:
		return false
	}
	return true
}

// move reports whether the key was one that moves in a list.
func (s *Screen) move(name string) bool {
	if s.page != livePage && s.page != lettersPage {
		return false
	}
	c, names := s.list()
	at := c.find(names)
	screenful := max(1, s.height/2)
	switch name {
	case "up", "k":
		at--
	case "down", "j":
		at++
	case "pgup":
		at -= screenful
	case "pgdown", "space":
		at += screenful
	case "home", "g":
		at = 0
	case "end", "G":
		at = len(names) - 1
	default:
		return false
	}
	c.set(names, at)
	return true
}

// list is the one that the arrows move in.
func (s *Screen) list() (*cursor, []string) {
	switch {
	case s.page == lettersPage:
		return &s.letter, s.letterNames()
	case s.focus == onOrders:
		return &s.order, s.orderNames()
	case s.focus == onEvents:
		return &s.event, s.eventNames()
	}
	return &s.worker, s.workerNames()
}

// open shows all that is known of the chosen line.
func (s *Screen) open() {
	if s.page != livePage {
		return
	}
	cards := map[focus]func() func() card{onWorkers: s.workerCard, onOrders: s.orderCard, onEvents: s.eventCard}
	if show := cards[s.focus](); show != nil {
		s.card, s.page = show, cardPage
	}
}

// helpCard explains the keys and the signs.
func helpCard() card {
	c := card{title: "help"}
	for _, k := range append(liveKeys, lettersKeys...) {
		if k.more != "" {
			c.fields = append(c.fields, field{k.name, k.more})
		}
	}
	c.fields = append(c.fields,
		field{"━━━──", "what is left of a worker's lease: it renews it at a third, and who lets it run out is reaped"},
		field{"in hand", "what a worker has claimed, of what it works on at once"},
		field{"pending", "in hand, and not yet claimed in PostgreSQL"},
		field{"▁▃▆█", "the rate in each of the last seconds, up to the highest of them"},
		field{"p50 p95", "half of the orders, and 95 of 100, took no longer"},
	)
	return c
}
