package watch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fulfillment-worker/internal/inspect"

	"charm.land/lipgloss/v2"
)

// newestFirst are the events as the panel lists them.
func (s *Screen) newestFirst() []inspect.Event {
	list := slices.Clone(s.events)
	slices.Reverse(list)
	return list
}

// eventNames are the lines of the panel. Who chooses the first follows the newest.
func (s *Screen) eventNames() (names []string) {
	for i, e := range s.newestFirst() {
		if i == 0 {
			names = append(names, "")
			continue
		}
		names = append(names, e.ID)
	}
	return names
}

func (s *Screen) drawEvents(width, height int) []string {
	columns := []column{{"events", 8, false}, {"", 10, false}, {"", 0, false}}
	columns[2].width = room(columns, width)
	focused := s.focus == onEvents
	lines := []string{heading(columns, width, focused)}
	if len(s.events) == 0 {
		return append(lines, dim.Render("  none yet"))
	}
	list := s.newestFirst()
	from, to := s.event.window(s.eventNames(), height-1)
	for i := from; i < to; i++ {
		e := list[i]
		line := row(columns, dim.Render(timeOfDay(e.At)), kindStyle(e.Kind).Render(plain(e.Kind)), plain(eventText(e)))
		lines = append(lines, marked(line, i == s.event.at && (focused || i > 0), focused))
	}
	return lines
}

func kindStyle(kind string) lipgloss.Style {
	switch kind {
	case "joined", "resumed", "requeued":
		return good
	case "left", "dropped":
		return none
	case "reaped", "dead":
		return bad
	case "retried", "paused":
		return warn
	}
	return accent
}

// eventText says in few words what happened. What it does not know it shows as it is.
func eventText(e inspect.Event) string {
	f := e.Fields
	switch e.Kind {
	case "joined":
		return f["instance"]
	case "left":
		return fmt.Sprintf("%s handed back %s", f["instance"], f["handed_back"])
	case "reaped":
		return fmt.Sprintf("%s by %s: %s given back, %s dead", f["instance"], f["by"], f["messages"], f["dead"])
	case "retried":
		return fmt.Sprintf("order %s, delivery %s: %s", f["order_id"], f["deliveries"], f["error"])
	case "dead":
		return fmt.Sprintf("order %s, %s: %s", cmp.Or(f["order_id"], "?"), f["reason"], f["error"])
	case "reconciled":
		return fmt.Sprintf("%s put back by %s: %s", f["messages"], f["by"], f["orders"])
	case "paused", "resumed":
		return "by " + f["by"]
	case "requeued", "dropped":
		return fmt.Sprintf("order %s, %s, by %s", cmp.Or(f["order_id"], "?"), f["reason"], f["by"])
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, name+" "+f[name])
	}
	return strings.Join(parts, ", ")
}

// eventCard is all that is known of the chosen event.
func (s *Screen) eventCard() func() card {
	if len(s.events) == 0 {
		return nil
	}
	e := s.newestFirst()[s.event.find(s.eventNames())]
	return func() card {
		c := card{title: plain(e.Kind)}
		c.addTime("when", e.At)
		for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
			c.add(name, e.Fields[name])
		}
		return c
	}
}
