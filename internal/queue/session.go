package queue

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/outage"
)

const graceTime = 500 * time.Millisecond // for handlers to return once they are cancelled

// session is a worker's life under one instance name, from its registration until
// it leaves or finds that it was presumed dead.
type session struct {
	*Consumer
	instance string
	handle   Handler
	anew     bool // not the worker's first session
	log      *slog.Logger

	epoch   time.Time     // when it began
	renewed atomic.Int64  // when the last beat began that was answered, by clock
	unshown chan struct{} // some work has begun or is over that Redis does not show

	live     context.Context         // of the handlers; set by serve before the first claim
	end      context.CancelCauseFunc // ends live, and with it the session
	handlers sync.WaitGroup
	crew     *crew

	lanes       []*lane
	starts      *groupcommit.Group[start, struct{}, started]
	finishes    *groupcommit.Group[*Delivery, struct{}, struct{}]
	settlements *groupcommit.Group[*settlement, struct{}, []int64]

	auditDue *time.Ticker    // of the claim loop
	gathered []*Delivery     // so, too: what it has claimed, and not dispatched yet
	claiming context.Context // until no more is claimed; set by serve

	// Who claims or audits has them to himself: mostly the claim loop.
	claims sync.Mutex
	unsure bool // a claim's outcome is unknown: audit before the next
	plenty bool // there may be more to claim, as far as the last claim saw
	paused bool
	asked  time.Time // when the claim began whose messages are taken in hand

	desks chan struct{} // one token for each gang that may be prepared beside others
}

// serve is the order of a session's steps. The heartbeat begins before the first
// claim and is the last to stop.
func (s *session) serve(ctx, work context.Context) {
	if err := outage.Ride(ctx, s.log, "join", func() error {
		s.claimTurn.mark()
		s.beatTurn.mark()
		return s.remember(s.join(ctx))
	}); err != nil {
		return // ctx is done
	}
	crash.At("joined")
	if s.anew {
		s.log.InfoContext(ctx, "joined anew")
	} else {
		s.log.InfoContext(ctx, "Fulfillment Worker started, consuming from "+s.cfg.Name)
	}

	live, end := context.WithCancelCause(work)
	defer end(nil)
	s.live, s.end = live, end
	claiming, stopClaiming := context.WithCancel(ctx)
	s.claiming = claiming
	defer stopClaiming()
	defer context.AfterFunc(live, stopClaiming)()

	beating, stopBeating := context.WithCancel(context.WithoutCancel(ctx))
	var heartbeat sync.WaitGroup
	heartbeat.Go(func() { s.keepLease(beating) })
	heartbeat.Go(func() { s.keepSnapshot(beating) })
	defer heartbeat.Wait()

	defer s.crew.dismiss()
	s.claimLoop(claiming)
	s.drain()
	stopBeating()
	crash.At("leaving")
	handedBack, err := s.leave(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "could not leave, a reaper will find what is left", "error", err)
		return
	}
	s.log.InfoContext(ctx, "left", "handed_back", handedBack)
}

// drain waits for the handlers: as long as they may run, and a moment more for
// those that were cancelled.
func (s *session) drain() {
	done := make(chan struct{})
	go func() {
		s.handlers.Wait()
		close(done)
	}()
	for draining := true; draining; {
		select {
		case <-done:
			return
		case <-s.live.Done():
			draining = false
		case <-time.After(time.Second):
			s.claimTurn.mark() // it waits as it should
		}
	}
	select {
	case <-done:
	case <-time.After(graceTime):
		s.log.Warn("handlers still run, their orders are handed back all the same")
	}
}

// safely calls the handler and turns a panic into an error, so that one bad message
// does not take the worker down.
func (s *session) safely(d *Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(d, p)
		}
	}()
	return s.handle(s.live, d)
}

// panicked is the error of a handler that panics. The stack must still be there.
func (s *session) panicked(d *Delivery, p any) error {
	err := &Failure{Err: fmt.Errorf("the handler panicked: %v", p), Kind: "panic"}
	s.log.ErrorContext(d.context(), "handler panicked", "error", err, "digest", d.digest(), "stack", string(debug.Stack()))
	return err
}

// drainContext returns a context that outlives ctx by d and then ends with the
// cause [ErrShutdown]. The caller must call stop.
func drainContext(ctx context.Context, d time.Duration) (_ context.Context, stop func()) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	undo := context.AfterFunc(ctx, func() {
		sleep(work, d)
		cancel(ErrShutdown)
	})
	return work, func() {
		undo()
		cancel(nil)
	}
}
