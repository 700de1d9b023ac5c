package model

import "fmt"

// Config is one theme of the search: how the world begins, what may go wrong, and what
// is missing.
type Config struct {
	Orders      string // "a" or "ab"
	Processes   int    // that run at once
	Slots       int    // orders in hand of each
	Max         uint8  // MAX_DELIVERIES
	Killers     string // orders whose work kills its worker
	Refused     string // orders that the work refuses for good
	Reconcilers int
	May         Faults // go wrong
	Without     Mechanism
	Promises    Promise // that hold here beside those that hold everywhere
}

// tail is how many of its last writes a Redis may forget.
const tail = 4

// First is the state in which the search begins: the workers have joined and the producer
// is done, unless that is where something may go wrong.
func (c *Config) First() State {
	s := State{Faults: c.May}
	for i := range c.Processes {
		if c.Without&JoinFirst == 0 {
			s.Workers[i].Is, s.Workers[i].Leased, s.Redis.Workers[i].Lease = running, true, good
		}
	}
	for i := range c.Orders {
		if c.May.Producers == 0 {
			s.Rows[i] = Row{Status: pending, Sent: 1}
			s.Redis.Queue.pushLeft(original(i))
		}
	}
	return s
}

// Step is one step of one actor.
type Step struct {
	Kind  uint8 // a row of the table below
	Actor uint8
	Lost  bool // its answer is lost: the servers have done it, the actor does not know
}

// paid is for a fault that another one has made possible.
func paid(*Faults) *uint8 { return new(uint8(1)) }

// actors says to how many a step belongs, and what the number of one of them means.
type actors uint8

const (
	alone actors = iota
	byOrder
	byMessage
	byWorker
	byDelivery
	bySurvey
	byReconciler
)

func (a actors) count(c *Config) int {
	switch a {
	case alone:
		return 1
	case byOrder:
		return len(c.Orders)
	case byMessage:
		return 2 * maxOrders
	case byWorker:
		return maxWorkers
	case byDelivery:
		return maxWorkers * maxSlots
	case bySurvey:
		return c.Reconcilers * len(c.Orders)
	case byReconciler:
		return c.Reconcilers
	}
	panic("nobody")
}

// world is a state on its way to the next.
type world struct {
	State
	*Config
	updated bool // a row was, in this step
}

func (w *world) without(m Mechanism) bool { return w.Without&m != 0 }

// Next calls visit with every step that can be made in a state, and where it leads.
func (c *Config) Next(s State, visit func(Step, State)) {
	w := &world{Config: c}
	for kind, row := range steps {
		for actor := range row.of.count(c) {
			step := Step{Kind: uint8(kind), Actor: uint8(actor)}
			if !w.make(s, step) {
				continue
			}
			visit(step, w.State)
			if step.Lost = true; row.call && s.Faults.Lost > 0 && w.make(s, step) {
				visit(step, w.State)
			}
		}
	}
}

// make makes a step, if it can be made.
func (w *world) make(s State, step Step) bool {
	w.State, w.updated = s, false
	row := steps[step.Kind]
	if row.fault != nil {
		left := row.fault(&w.Faults)
		if *left == 0 {
			return false
		}
		*left--
	}
	if !row.make(w, int(step.Actor)) || step.Lost && !w.lose(s, step) {
		return false
	}
	w.wear(s)
	w.rest()
	return true
}

// lose takes the answer to a call away from who made it: he knows what he knew before. It
// reports whether there was anything to know.
func (w *world) lose(before State, step Step) bool {
	if w.Redis == before.Redis && !w.updated {
		return false
	}
	w.Faults.Lost--
	n := int(step.Actor)
	if steps[step.Kind].of == byWorker {
		w.Workers[n] = before.Workers[n]
		w.Workers[n].Unsure = !w.without(Audit | AuditFirst)
		return true
	}
	w.Workers[n/maxSlots] = before.Workers[n/maxSlots]
	d := w.hand(n)
	if w.updated {
		w.own(d, d.row.Status == processing)
	}
	was := before.Rows[d.Message.order()]
	d.row.Worked = was.Worked
	switch {
	case !w.updated:
		d.row.Known |= was.Known & d.self
		d.row.Asked |= was.Asked & d.self
		d.row.Since |= was.Since & d.self
	case d.At == worked:
		d.row.Known &^= d.self
		if w.without(ReadAgain) {
			d.At = failed
		}
	default: // the claim begins anew
		d.row.Known &^= d.self
		d.row.Asked |= d.self
		d.row.Since |= d.self
		d.At = claiming
	}
	return true
}

// wear counts the writes since Redis was saved. Those of long ago are safe.
func (w *world) wear(before State) {
	if w.Tail == 0 || w.Redis == before.Redis {
		return
	}
	if w.Tail++; w.Tail > tail+1 {
		w.Saved, w.Tail = Redis{}, 0
	}
}

// rest makes room for a new instance where nothing is left of one.
func (w *world) rest() {
	for i := range w.Workers {
		p := &w.Workers[i]
		if gone := p.Is == dead || p.Is == left; gone && !p.Blocked && p.Hand == [maxSlots]Delivery{} && w.untraced(i) {
			*p = Worker{}
		}
	}
}

// Fault reports whether the step is one that goes wrong.
func (step Step) Fault() bool { return step.Lost || steps[step.Kind].fault != nil }

// Tell says a step in words. The state is the one before it.
func (c *Config) Tell(step Step, before State) string {
	row, n := steps[step.Kind], int(step.Actor)
	text := row.does
	switch row.of {
	case alone:
	case byOrder:
		text += fmt.Sprintf(" %c", original(n))
	case byMessage:
		text += fmt.Sprintf(" %c", messages[n])
	case byWorker:
		text += fmt.Sprintf(" %d", n)
	case byDelivery:
		text += fmt.Sprintf(" %c of worker %d", before.Workers[n/maxSlots].Hand[n%maxSlots].Message, n/maxSlots)
	case bySurvey:
		text += fmt.Sprintf(" %c", original(n%len(c.Orders)))
	case byReconciler:
		text += fmt.Sprintf(" %c", before.Surveys[n])
	}
	if step.Lost {
		text += ", ANSWER LOST"
	}
	return text
}
