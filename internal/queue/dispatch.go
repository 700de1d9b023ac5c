package queue

import (
	"errors"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"fulfillment-worker/internal/groupcommit"
)

// gang are deliveries of messages that were claimed together.
type gang struct {
	all    []*Delivery
	taken  atomic.Int64 // how many somebody has begun to handle
	coming atomic.Bool  // somebody is on the way to take the next
}

const (
	// desks is how many small gangs are prepared side by side. They are many while little
	// arrives, and nobody should wait for somebody else's statement then. A large gang
	// takes all desks, so that what is claimed meanwhile is a large gang again.
	desks = 2

	smallGang = 8

	// largeClaim is how many slots must be free for a claim ahead of its turn at the desks.
	largeClaim = 64
)

// delivery takes a message in hand that is in that lane.
func (s *session) delivery(l *lane, payload string) *Delivery {
	d := &Delivery{Payload: []byte(payload), payload: payload, session: s, lane: l, asked: s.asked}
	l.take(d)
	s.hands.Add(1)
	return d
}

// dispatch has deliveries prepared together and handled, each by itself. Each uses up one
// slot until its finish begins, or it is settled.
func (s *session) dispatch(all ...*Delivery) {
	if len(all) == 0 {
		return
	}
	desks := s.takeDesks(len(all))
	s.handlers.Add(len(all))
	s.crew.run(func() {
		s.prepare(all)
		s.freeDesks(desks)
		s.handleRest(&gang{all: all})
	})
}

// takeDesks takes what a gang of that size needs, as far as it is free.
func (s *session) takeDesks(size int) (taken int) {
	need := 1
	if size > smallGang {
		need = desks
	}
	for taken < need {
		select {
		case <-s.desks:
			taken++
		default:
			return taken
		}
	}
	return taken
}

func (s *session) freeDesks(n int) {
	for range n {
		s.desks <- struct{}{}
	}
}

// handleRest handles what is left of a gang. Each handler may take its time: before one is
// called, somebody else is on the way who goes on with the next, as soon as he gets to
// run. As long as handlers return at once he does not, and nobody need be woken.
func (s *session) handleRest(g *gang) {
	g.coming.Store(false)
	size := int64(len(g.all))
	n := g.taken.Add(1)
	for ; n < size; n = g.taken.Add(1) {
		if g.coming.CompareAndSwap(false, true) {
			s.crew.run(func() { s.handleRest(g) })
		}
		if d := g.all[n-1]; s.works(d) {
			s.finishes.Send(d)
		}
	}
	if n == size {
		s.handleLast(g.all[n-1])
	}
}

// handleLast handles the last message of a gang, and those that come after it by relays. Who
// has nothing to do after that may wait for the finish.
func (s *session) handleLast(d *Delivery) {
	for s.works(d) {
		next := s.relay(d)
		if next == nil {
			s.finishes.Lead(d)
			return
		}
		d = next
	}
}

// works has a message handled, and reports whether it is to be finished.
func (s *session) works(d *Delivery) bool {
	err := s.safely(d)
	if err != nil || s.Finish == nil {
		s.conclude(d, err)
		return false
	}
	return true
}

// finishTogether finishes what was handled while the ones before were finished.
func (s *session) finishTogether(calls []*groupcommit.Call[*Delivery, struct{}]) {
	all := make([]*Delivery, len(calls))
	for i, c := range calls {
		all[i] = c.Request
	}
	s.spareSlots(all...)
	for i, err := range s.finish(all) {
		calls[i].Err = err
	}
}

// finish calls Finish. Where it panics with many, each shows by itself whose fault it is.
func (s *session) finish(all []*Delivery) (errs []error) {
	defer func() {
		if p := recover(); p != nil {
			err := ErrAlone
			if len(all) == 1 {
				err = s.panicked(all[0], p)
			} else {
				s.log.Error("the finish of many panicked", "error", p, "stack", string(debug.Stack()))
			}
			errs = slices.Repeat([]error{err}, len(all))
		}
	}()
	if errs = s.Finish(s.live, all); len(errs) != len(all) {
		panic("Finish does not answer for all that it was given")
	}
	return errs
}

// finished goes on with deliveries that were finished together. What may wait does so by
// itself.
func (s *session) finished(calls []*groupcommit.Call[*Delivery, struct{}]) {
	done, acks := make([]*Delivery, 0, len(calls)), make([]*settlement, 0, len(calls))
	for _, c := range calls {
		if d := c.Request; s.goesOn(d, c.Err) {
			done, acks = append(done, d), append(acks, s.ack(d))
		}
	}
	s.spareSlots(done...) // that could not be spared before
	s.settlements.Lead(acks...)
}

// goesOn reports whether a delivery is finished, and can be forgotten. What may wait before
// that does so by itself.
func (s *session) goesOn(d *Delivery, err error) bool {
	switch {
	case err == nil:
		d.handled(nil)
		return true
	case errors.Is(err, ErrAlone):
		go func() { s.conclude(d, s.finish([]*Delivery{d})[0]) }()
	default:
		go s.conclude(d, err)
	}
	return false
}

// conclude settles a delivery by what its handler has returned.
func (s *session) conclude(d *Delivery, err error) {
	d.handled(err)
	if err == nil {
		s.spareSlots(d)
		s.settlements.Lead(s.ack(d))
		return
	}
	s.settle(d, err)
	s.letGo(d)
}

// letGo is the end of a delivery that is settled, or given up.
func (s *session) letGo(d *Delivery) {
	s.release(d)
	d.lane.drop(d)
	s.changed()
	if d.done {
		<-s.done
	}
	s.hands.Add(-1)
	d.tell()
	s.handlers.Done()
}

// prepare does what can be done for all of them at once.
func (s *session) prepare(all []*Delivery) {
	if s.Prepare == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil { // each is handled without, and shows whose fault it is
			s.log.Error("the preparation panicked", "error", p)
		}
	}()
	s.Prepare(s.live, all)
}

// release frees the slot of a delivery, unless that was done.
func (s *session) release(d *Delivery) {
	if !d.released {
		d.released = true
		s.freeSlots(1)
	}
}
