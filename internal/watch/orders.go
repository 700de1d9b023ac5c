package watch

import (
	"fmt"
	"slices"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/order"

	"github.com/charmbracelet/x/ansi"
)

// held is an order in the hand of a worker.
type held struct {
	inspect.Held
	instance string
}

// heldOrders are those of the chosen workers, the longest begun first.
func (s *Screen) heldOrders() (list []held) {
	for _, w := range s.chosenWorkers() {
		for _, o := range w.Orders {
			list = append(list, held{o, w.Instance})
		}
	}
	slices.SortStableFunc(list, func(a, b held) int { return a.Since.Compare(b.Since) })
	return list
}

// orderNames are the lines of the panel. Who chooses the first follows the oldest.
func (s *Screen) orderNames() (names []string) {
	for i, o := range s.heldOrders() {
		if i == 0 {
			names = append(names, "")
			continue
		}
		names = append(names, fmt.Sprint(o.OrderID, " ", o.instance))
	}
	return names
}

func (s *Screen) orderColumns(width int) []column {
	columns := []column{{"in hand", 10, false}, {"age", 6, true}, {"status", 13, false}, {"worker", 0, false}, {"correlation id", 0, false}}
	rest := room(columns, width)
	if s.worker.at == 0 && rest >= 20 {
		columns[3].width = min(s.workerColumns(width)[0].width, rest/2)
		rest -= columns[3].width + len(gap)
	}
	if rest >= 8 {
		columns[4].width = rest
	}
	if s.worker.at > 0 {
		columns[4].title = "correlation id; of " + plain(s.worker.name)
	}
	return columns
}

func (s *Screen) drawOrders(width, height int) []string {
	list, names := s.heldOrders(), s.orderNames()
	columns, focused := s.orderColumns(width), s.focus == onOrders
	lines := []string{heading(columns, width, focused)}
	note := s.unseenText()
	if note != "" && height > 1 {
		height--
	}
	from, to := s.order.window(names, height-1)
	for i := from; i < to; i++ {
		lines = append(lines, marked(s.orderRow(columns, list[i]), i == s.order.at && (focused || i > 0), focused))
	}
	if note != "" {
		lines = append(lines, dim.Render("  "+note))
	}
	return lines
}

func (s *Screen) orderRow(columns []column, o held) string {
	return row(columns, strong.Render(orderID(o.OrderID)), age(s.clock().Sub(o.Since)), s.statusText(o.Status),
		plain(o.instance), dim.Render(plain(o.CorrelationID)))
}

func orderID(id int64) string {
	if id == 0 {
		return "?"
	}
	return fmt.Sprint(id)
}

// statusText is what PostgreSQL says of an order that is in hand.
func (s *Screen) statusText(status order.Status) string {
	switch {
	case status == "" && s.postgres.silent():
		return dim.Render("unknown")
	case status == "":
		return bad.Render("no such order")
	case status == order.Processing:
		return accent.Render(string(status))
	case status == order.Fulfilled:
		return good.Render(string(status))
	}
	return warn.Render(plain(string(status)))
}

// unseenText says how many messages the workers hold beside the orders that are listed.
func (s *Screen) unseenText() string {
	var listed, inHand int64
	for _, w := range s.chosenWorkers() {
		listed += int64(len(w.Orders))
		inHand += w.InHand
	}
	switch more := inHand - listed; {
	case inHand == 0 && listed == 0:
		return "nothing"
	case more > 0:
		return fmt.Sprintf("and %s more, not begun or not listed", grouped(more))
	}
	return ""
}

// orderCard is all that is known of the chosen order.
func (s *Screen) orderCard() func() card {
	list := s.heldOrders()
	if len(list) == 0 {
		return nil
	}
	o := list[s.order.find(s.orderNames())]
	return func() card {
		c := card{title: "order " + orderID(o.OrderID)}
		now := slices.IndexFunc(s.heldOrders(), func(h held) bool { return h.OrderID == o.OrderID && h.instance == o.instance })
		if now >= 0 {
			o = s.heldOrders()[now]
			c.add("in hand of", o.instance)
			c.add("for", age(s.clock().Sub(o.Since)))
			c.add("status", ansi.Strip(s.statusText(o.Status)))
		} else {
			c.add("in hand of", o.instance+" before; it is no more")
		}
		c.addTime("since", o.Since)
		c.add("correlation id", o.CorrelationID)
		c.add("its story", fmt.Sprintf("queuectl trace %d", o.OrderID))
		return c
	}
}
