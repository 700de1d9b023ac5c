package queue

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"
)

// relay goes on, for who has done the work on a message, with the next one: that is claimed for
// the same slot without waking the claim loop, and prepared by the commit that finishes the
// other. It returns nil, and d is still to be finished, where that is not called for: while
// little waits, others claim, or claims shall add up.
func (s *session) relay(d *Delivery) (next *Delivery) {
	next, desks := s.claimAfter(d)
	if next == nil {
		return nil
	}
	err := s.exchange(d, next)
	s.freeDesks(desks)
	if s.goesOn(d, err) {
		s.settlements.Send(s.ack(d))
	}
	return next
}

// claimAfter claims the next message for the slot of d. Together they are prepared and
// finished at one of the desks, if there is one for them.
func (s *session) claimAfter(d *Delivery) (next *Delivery, desks int) {
	if s.Relay == nil || !s.finishes.Idle() || !s.claims.TryLock() {
		return nil, 0
	}
	defer s.claims.Unlock()
	if !s.plenty || s.unsure || s.paused || len(s.slots) > 0 || s.claiming.Err() != nil || !isClosed(s.open()) {
		return nil, 0
	}
	if desks = s.takeDesks(1); desks == 0 {
		return nil, 0
	}
	if s.setAside(d) {
		if next = s.moveNext(emptiestFirst(s.lanes)[0]); next == nil {
			s.takeBack(d)
		}
	}
	if next == nil {
		s.freeDesks(desks)
		return nil, 0
	}
	d.released = true // its slot is the next one's
	s.handlers.Add(1)
	return next, desks
}

// moveNext claims a message into a lane. What comes of that is as after any other claim: nil
// is that there was none, or that it is not known, and then the claim loop looks before it
// claims anything.
func (s *session) moveNext(l *lane) *Delivery {
	ctx, cancel := bounded(context.WithoutCancel(s.live))
	defer cancel()
	s.asked = time.Now()
	payload, fresh, err := s.moveOne(ctx, func(p redis.Pipeliner) *redis.StringCmd {
		return p.LMove(ctx, s.keys.Queue(), l.key, "RIGHT", "LEFT")
	})
	if err != nil {
		s.unsure = s.unsure || !isReply(err)
		return nil
	}
	return s.claimed(l, payload, fresh)
}

// exchange calls Relay. Where it panics, each shows by itself whose fault it is.
func (s *session) exchange(d, next *Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("the relay panicked", "error", p, "stack", string(debug.Stack()))
			err = ErrAlone
		}
	}()
	return s.Relay(s.live, d, next)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
