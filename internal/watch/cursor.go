package watch

import "slices"

// cursor is where a person is in a list. It holds on to the line by its name, for lines come
// and go above it; one named "" is always the first.
type cursor struct {
	name string
	at   int // where the line was
	top  int // the first line that is shown
}

// find is the line's place now. Where it is gone, the one that has taken its place is chosen.
func (c *cursor) find(names []string) int {
	if at := slices.Index(names, c.name); at >= 0 {
		c.at = at
		return at
	}
	c.set(names, c.at)
	return c.at
}

func (c *cursor) set(names []string, at int) {
	c.at, c.name = max(0, min(at, len(names)-1)), ""
	if len(names) > 0 {
		c.name = names[c.at]
	}
}

// window is which lines to show in a place of that height, so that the chosen one is among them.
func (c *cursor) window(names []string, height int) (from, to int) {
	at := c.find(names)
	c.top = max(at-height+1, min(c.top, at, len(names)-height), 0)
	return c.top, min(len(names), c.top+max(0, height))
}
