package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fulfillment-worker/internal/rig"
)

var errPatience = errors.New("it takes too long")

// watch tells what happens until done says so. What done waits for is said in what.
func (s *story) watch(ctx context.Context, what string, done func() bool) error {
	limit := time.After(patience)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("%w until %s", errPatience, what)
		case l := <-s.lines:
			s.hear(l)
		case <-tick.C:
			if err := s.progress(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// progress is the line that comes every second.
func (s *story) progress(ctx context.Context) error {
	var now status
	if err := s.ask(ctx, &now, "status"); err != nil {
		return err
	}
	fulfilled, processing, pending := now.Orders["fulfilled"], now.Orders["processing"], now.Orders["pending"]
	if fulfilled+processing+pending == 0 {
		return nil // nothing is queued yet
	}
	drawing := bar(30, "#+-", fulfilled, processing, pending)
	s.at(time.Now(), "[%s] %d fulfilled, %d processing, %d pending%s", drawing, fulfilled, processing, pending, s.wake(ctx))
	return nil
}

// wake says how it stands with the dead worker's list, until it is reaped.
func (s *story) wake(ctx context.Context) string {
	if s.dead == nil || !s.dead.reaped.IsZero() {
		return ""
	}
	i, err := s.instance(ctx, s.dead.instance)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; %s: %d in its list, %s of its lease left", s.dead.name, len(i.Messages), lease(i))
}

// hear acts on a line of a log.
func (s *story) hear(l rig.Line) {
	switch l.Event() {
	case rig.Joined:
		s.joined[l.Instance] = l.Worker
		s.at(l.Time, "%s joined as %s", l.Worker, l.Instance)
	case rig.Reaped:
		s.hearReaped(l)
	case rig.TakenOver:
		if h := s.dead.find(l.OrderID); h != nil {
			h.begun = true
		}
	case rig.Processing:
		s.hearTaken(l)
	case rig.Fulfilled, rig.Dropped:
		s.hearFulfilled(l)
	case rig.Superseded, rig.Other:
		if l.Level == "warn" || l.Level == "error" {
			s.at(l.Time, "%s", s.paint(red, "%s says: %s %s", l.Worker, l.Message, l.Error))
		}
	}
}

func (s *story) hearReaped(l rig.Line) {
	s.at(l.Time, "%s", s.paint(yellow, "%s reaped %s: %s back to the front of the queue", l.Worker, l.Instance, plural(l.Messages, "message")))
	if s.dead != nil && s.dead.instance == l.Instance {
		s.dead.reaped, s.dead.reaper = l.Time, l.Worker
	}
}

func (s *story) hearTaken(l rig.Line) {
	h := s.dead.find(l.OrderID)
	if h == nil || l.Worker == s.dead.name || !h.taken.IsZero() {
		return
	}
	h.heir, h.taken = l.Worker, l.Time
	how := "takes over order %d, which %s had begun: %s after the kill"
	if !h.begun {
		how = "takes order %d, which %s had not begun: %s after the kill"
	}
	s.at(l.Time, "%s", s.paint(yellow, "%s "+how, l.Worker, h.id, s.dead.name, seconds(l.Time.Sub(s.dead.killed))))
}

func (s *story) hearFulfilled(l rig.Line) {
	s.done[l.OrderID] = true
	h := s.dead.find(l.OrderID)
	if h == nil || l.Worker == s.dead.name || !h.fulfilled.IsZero() {
		return
	}
	h.heir, h.fulfilled, h.dropped = l.Worker, l.Time, l.Event() == rig.Dropped
	if h.dropped {
		h.taken = l.Time
		s.at(l.Time, "%s", s.paint(green, "%s finds that %s had fulfilled order %d just before its death", l.Worker, s.dead.name, h.id))
		return
	}
	s.at(l.Time, "%s", s.paint(green, "%s fulfilled order %d", l.Worker, h.id))
}
