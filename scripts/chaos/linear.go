package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The audit alone shows what became of the rows; the logs alone show what the workers
// believe. An order's history is legal if there is one order of all that they tell, true
// to the clock, in which every worker is right: it began after its own claim and before
// anybody fulfilled the order, it said "fulfilled" after its own row was committed and
// once, it dropped a message only when the order was fulfilled by then.

type legality int

const (
	legal  legality = iota
	unsure          // legal, if a worker that missed an answer took another's success for its own
	illegal
	undecided
)

const (
	thinkTime = time.Second      // for one history; thousands take less than a millisecond each
	precision = time.Millisecond // of the clocks that the times were read from
)

// state is an order as the register that all of them read and write.
type state struct {
	status string // "" before its INSERT
	holder string // who claimed it last
	claims int    // how often it was claimed
	begun  bool   // the holder's work has begun
	said   bool   // somebody has said that the order is fulfilled
}

var register = porcupine.Model{
	Init:  func() any { return state{} },
	Step:  func(s, in, _ any) (bool, any) { return step(s.(state), in.(event)) },
	Equal: func(a, b any) bool { return a == b },
}

// step is what an event makes of an order, and whether it is possible there.
func step(s state, e event) (bool, any) {
	switch e.what {
	case row:
		return stepRow(s, e)
	case began:
		ok := s.status == "processing" && s.holder == e.actor && !s.begun
		s.begun = true
		return ok, s
	case said:
		ok := s.status == "fulfilled" && s.holder == e.actor && !s.said
		s.said = true
		return ok, s
	case saw:
		return s.status == "fulfilled", s
	case superseded: // it may be by a later session of the same life
		return s.claims > 1 || s.claims == 1 && s.holder != e.actor, s
	case other, joined, reaped, started, ended:
	}
	return true, s
}

func stepRow(s state, e event) (bool, any) {
	ok := s.status == e.old
	switch e.new {
	case "processing":
		s.holder, s.begun, s.claims = e.actor, false, s.claims+1
	case "fulfilled":
		ok = ok && s.status == "processing" && s.holder == e.actor && s.begun
	}
	s.status = e.new
	return ok, s
}

// linearize checks the history of one order that was first asked for at that time. Where
// it is illegal, story tells it. Deaf says when a worker may have missed answers of
// PostgreSQL: then it cannot know whether its own UPDATE or another's fulfilled the order.
func linearize(wanted time.Time, events []event, deaf func(actor string, from, to time.Time) bool) (verdict legality, story string) {
	if verdict, story = check(wanted, events); verdict != illegal {
		return verdict, story
	}
	excused := slices.Clone(events)
	for n, e := range excused {
		if from, ok := begunBy(e.actor, events); e.what == said && ok && deaf(e.actor, from, e.at) {
			excused[n].what = saw
		}
	}
	if again, _ := check(wanted, excused); again == legal {
		return unsure, story
	}
	return illegal, story
}

// begunBy is when that life last said that it began.
func begunBy(actor string, events []event) (at time.Time, ok bool) {
	for _, e := range events {
		if e.what == began && e.actor == actor {
			at, ok = e.at, true
		}
	}
	return at, ok
}

func check(wanted time.Time, events []event) (verdict legality, story string) {
	var ops []porcupine.Operation
	for _, s := range spans(wanted, events) {
		ops = append(ops, porcupine.Operation{Input: s.event, Call: s.call.UnixNano(), Return: s.ret.UnixNano()})
	}
	switch porcupine.CheckOperationsTimeout(register, ops, thinkTime) {
	case porcupine.Ok:
		return legal, ""
	case porcupine.Unknown:
		return undecided, ""
	case porcupine.Illegal:
	}
	return illegal, tell(events)
}

// span is an event and the time within which it took effect.
type span struct {
	event
	call, ret time.Time
}

// spans says when each event can have taken effect. A row does so between its trigger
// and its commit; the next row of the order waits for that. What a worker tells became
// true at some time before.
func spans(wanted time.Time, events []event) []span {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	var all []span
	last := -1 // row
	for _, e := range events {
		s := span{event: e, call: wanted, ret: e.at.Add(precision)}
		if e.what == row {
			s.call, s.ret = e.at, e.seen
			if last >= 0 && all[last].ret.After(e.at) {
				all[last].ret = e.at
			}
			last = len(all)
		}
		s.ret = latest(s.ret, s.call)
		all = append(all, s)
	}
	return all
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tell is a history in one line.
func tell(events []event) string {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	var parts []string
	for _, e := range events {
		text := fmt.Sprintf("%s %s %v", clock(e.at), cmp.Or(e.actor, "somebody"), e.what)
		if e.what == row {
			text = fmt.Sprintf("%s %s: %s", clock(e.at), cmp.Or(e.actor, "somebody"), e.step())
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
