package model

import "fmt"

// Promise is a set of promises that hold only where the world lets them: see each.
type Promise uint8

// The promises that do not hold in every world.
const (
	WorkedOnce Promise = 1 << iota // where no worker dies, freezes or leaves
	InTurn                         // where one worker has one order in hand at a time, and does not die
	FewDeaths                      // where nothing but the work itself kills a worker
)

// Broken names the promise that a step breaks, or is empty.
func (c *Config) Broken(from, to State) string {
	for o := range len(c.Orders) {
		if text := rowBroken(from.Rows[o], to.Rows[o]); text != "" {
			return fmt.Sprintf("%s: order %c", text, original(o))
		}
		if c.lost(&to, o) {
			return fmt.Sprintf("nothing is lost: order %c", original(o))
		}
		if c.Promises&WorkedOnce != 0 && to.Rows[o].Worked > 1 {
			return fmt.Sprintf("a copy is not worked twice: order %c", original(o))
		}
	}
	if d, ok := startedWithout(from, to); ok {
		return fmt.Sprintf("work begins only for a message that is held: message %c", d.Message)
	}
	for _, m := range messages {
		if text := c.messageBroken(&to, m); text != "" {
			return fmt.Sprintf("%s: message %c", text, m)
		}
	}
	if c.Promises&InTurn != 0 && to.Rows[0].Worked == 0 && to.Rows[1].Worked > 0 {
		return "first in, first out: order b is before a"
	}
	return ""
}

// rowBroken is about what may become of a row.
func rowBroken(from, to Row) string {
	switch {
	case to.Status != from.Status && to.Status != from.Status+1:
		return "only legal steps"
	case to.Finished > 1:
		return "fulfilled once"
	case to.Usurped:
		return "a superseded worker cannot finish"
	}
	return ""
}

// lost reports whether an order has no message any more, though Redis has forgotten
// nothing. (Where it has, or where the producer died, the survey finds the order.)
func (c *Config) lost(s *State, o int) bool {
	r := s.Rows[o]
	return r.Sent > 0 && r.Status != fulfilled && !s.Forgot && s.Redis.nowhere(o)
}

// startedWithout returns a delivery whose work has just begun though its message is not in
// its worker's list any more.
func startedWithout(from, to State) (Delivery, bool) {
	for i := range to.Workers {
		for k, d := range to.Workers[i].Hand {
			begun := d.At == working && from.Workers[i].Hand[k].At == claimed
			if begun && !to.Forgot && to.Redis.Workers[i].Processing.count(d.Message) == 0 {
				return d, true
			}
		}
	}
	return Delivery{}, false
}

// messageBroken is about what may become of a message.
func (c *Config) messageBroken(s *State, m Message) string {
	charged, owed := s.Redis.Deliveries[m.index()], s.Owed[m.index()]
	switch {
	case !s.Forgot && s.Redis.copies(m) > int(s.Rows[m.order()].Sent):
		return "a message is in one place"
	case !s.Forgot && charged > owed:
		return "only failures, and deaths of holders, are charged"
	case s.Redis.Dead.count(m) > 0 && !oneOf(m, c.Refused) && owed < c.Max:
		return "only an order's own fault makes a dead letter"
	case c.Promises&FewDeaths != 0 && owed > c.Max:
		return "an order that kills its workers is given up"
	}
	return ""
}

// End reports whether all is done and nothing is left over: every order is fulfilled or,
// by its own fault, a dead letter; and Redis holds nothing but dead letters and the
// registrations of the living.
func (c *Config) End(s State) bool {
	for o := range len(c.Orders) {
		if r := s.Rows[o]; r.Status != absent && r.Status != fulfilled && !s.buried(o) {
			return false
		}
	}
	for i, p := range s.Workers {
		if p.Hand != [maxSlots]Delivery{} {
			return false
		}
		if p.Is == running {
			s.Redis.Workers[i].Lease = none // the living stay
		}
	}
	dead := s.Redis.Dead
	return s.Redis == Redis{Dead: dead}
}

func (s *State) buried(o int) bool {
	return s.Redis.Dead.count(original(o))+s.Redis.Dead.count(reconciled(o)) > 0
}
