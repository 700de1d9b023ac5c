package queue

import (
	"sync"
	"time"

	"fulfillment-worker/internal/groupcommit"
)

// gang are deliveries of messages that were claimed together.
type gang struct {
	all      []*Delivery
	prepared func() // to call once they are; nil where they are already
}

const (
	// desks is how many small gangs are prepared side by side. They are many while little
	// arrives, and nobody should wait for somebody else's statement then. A large gang
	// takes all desks, so that what is claimed meanwhile is a large gang again.
	desks = 2

	smallGang = 8
)

// delivery takes a message in hand that is in that lane.
func (s *session) delivery(l *lane, payload string) *Delivery {
	l.take(payload)
	s.hands.Add(1)
	return &Delivery{Payload: []byte(payload), payload: payload, session: s, lane: l, asked: s.asked}
}

// dispatch has deliveries prepared together and handled, each by itself. Each uses up one
// slot until it is settled.
func (s *session) dispatch(all ...*Delivery) {
	if len(all) == 0 {
		return
	}
	s.handlers.Add(len(all))
	taken := s.takeDesks(len(all))
	prepared := sync.OnceFunc(func() {
		for range taken {
			s.desks <- struct{}{}
		}
	})
	slow := time.AfterFunc(groupcommit.Patience, prepared)
	s.pass(gang{all, func() {
		slow.Stop()
		prepared()
	}})
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

// pass has a gang handled by a goroutine that has nothing to do, whose stack has grown
// already, or else by a new one.
func (s *session) pass(g gang) {
	select {
	case s.idle <- g:
	default:
		go func() {
			s.deliver(g)
			for {
				select {
				case next := <-s.idle:
					s.deliver(next)
				case <-s.over:
					return
				}
			}
		}()
	}
}

// deliver has each of a gang handled by a goroutine of its own.
func (s *session) deliver(g gang) {
	if g.prepared != nil {
		s.prepare(g.all)
		g.prepared()
	}
	for i := range g.all[1:] {
		s.pass(gang{all: g.all[i+1 : i+2]})
	}
	d := g.all[0]
	err := s.safely(d)
	d.handled(err)
	if err == nil {
		s.ack(d)
		return
	}
	s.settle(d, err)
	s.letGo(d)
}

// letGo is the end of a delivery that is settled, or given up.
func (s *session) letGo(d *Delivery) {
	s.release(d)
	d.lane.drop(d.payload)
	s.hands.Add(-1)
	d.tell()
	s.handlers.Done()
}

// prepare does what can be done for all of them at once.
func (s *session) prepare(all []*Delivery) {
	for _, d := range all {
		d.digest = Digest(d.Payload)
	}
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
