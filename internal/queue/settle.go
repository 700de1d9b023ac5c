package queue

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/outage"

	"github.com/redis/go-redis/v9"
)

// Reason says why a message became a dead letter.
type Reason string

// The reasons of dead letters.
const (
	Malformed    Reason = "malformed"
	Invalid      Reason = "invalid"
	TooLarge     Reason = "too_large"
	UnknownOrder Reason = "unknown_order"
	Rejected     Reason = "rejected"
	Exhausted    Reason = "exhausted"
)

// Reasons lists every reason of a dead letter.
var Reasons = []Reason{Malformed, Invalid, TooLarge, UnknownOrder, Rejected, Exhausted}

// Failure is a handler's error with more to say about what becomes of the message:
// a delivery is charged, and it is tried again until its deliveries are used up. Any
// other error counts as the zero Failure that wraps it.
type Failure struct {
	Err   error
	After time.Duration // wait at least so long before the next try
	Last  Reason        // of the dead letter, if this was the last try; "" is Exhausted
	Kind  string        // one of few, for the metrics; "" is "failed"
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

type rejection struct {
	reason Reason
	error
}

// Reject returns an error that makes the message a dead letter at once, because no
// further delivery can help.
func Reject(reason Reason, err error) error { return &rejection{reason, err} }

type putOff struct {
	after time.Duration
	error
}

// PutOff returns an error that lets the message wait, because somebody else has its
// order in hand. Nothing is charged.
func PutOff(after time.Duration, err error) error { return &putOff{after, err} }

//go:embed lua/ack.lua
var ackLua string

//go:embed lua/retry.lua
var retryLua string

//go:embed lua/dead.lua
var deadLua string

//go:embed lua/putoff.lua
var putoffLua string

var (
	ackScript    = redis.NewScript(ackLua)
	retryScript  = redis.NewScript(retryLua)
	deadScript   = redis.NewScript(deadLua)
	putoffScript = redis.NewScript(putoffLua)
)

// What the settling scripts answer; 0 is that the message is not held any more.
const (
	delayed = 1
	buried  = 2
)

// settle does with a message what its handler's error says. Once the session has ended that
// is nothing: it is handed back, or taken already.
func (s *session) settle(d *Delivery, err error) {
	ctx := d.context()
	if errors.Is(err, ErrLeaseLost) {
		s.lose(ctx)
	}
	if ctx.Err() != nil {
		s.log.InfoContext(ctx, "work given up", "error", err, "digest", d.digest())
		return
	}
	var rejected *rejection
	var waits *putOff
	switch {
	case errors.As(err, &rejected):
		s.bury(ctx, d, rejected)
	case errors.As(err, &waits):
		s.putOff(ctx, d, waits)
	default:
		s.retry(ctx, d, err)
	}
}

// ack asks for the message to be forgotten, whether the session goes on or not.
func (s *session) ack(d *Delivery) *settlement {
	crash.At("finished")
	d.ackArgs[0] = d.payload
	d.ack = settlement{ackScript, d.lane.noted, d.ackArgs[:], d}
	return &d.ack
}

// spareSlots frees the slots of deliveries whose work is done: that on others may begin before
// their orders are fulfilled and their messages forgotten. Where that takes long, only one more
// message than there are slots piles up so. The slots are free at one go: the next claim shall
// be large.
func (s *session) spareSlots(all ...*Delivery) {
	free := 0
	for _, d := range all {
		if !d.released && s.setAside(d) {
			d.released = true
			free++
		}
	}
	s.freeSlots(free)
}

// setAside counts a delivery as done, unless too many are whose messages Redis has not
// forgotten yet. It shall not need its slot any more.
func (s *session) setAside(d *Delivery) bool {
	if !d.done {
		select {
		case s.done <- struct{}{}:
			d.done = true
		default:
		}
	}
	return d.done
}

// takeBack undoes setAside for a delivery that keeps its slot.
func (s *session) takeBack(d *Delivery) {
	<-s.done
	d.done = false
}

// forgotten ends deliveries whose messages are forgotten, and sees to it that they are.
func (s *session) forgotten(calls []*groupcommit.Call[*settlement, []int64]) {
	for _, c := range calls {
		d := c.Request.of
		if c.Err == nil {
			s.acked(d)
			continue
		}
		go s.forget(d)
	}
}

// forget sees to it that a message is forgotten.
func (s *session) forget(d *Delivery) {
	if _, err := s.until(d.context(), "acknowledge", &d.ack); err == nil {
		s.acked(d)
	} else {
		s.letGo(d)
	}
}

// acked ends a delivery whose message is forgotten.
func (s *session) acked(d *Delivery) {
	crash.At("acked")
	d.became(WasAcked, "")
	s.letGo(d)
}

func (s *session) bury(ctx context.Context, d *Delivery, r *rejection) {
	result, err := s.until(ctx, "keep a dead letter", settlementBy(deadScript,
		append(d.lane.noted, s.keys.Dead(), s.keys.Events()),
		d.Payload, d.digest(), s.instance, d.order(), d.correlationID, string(r.reason), brief(r.error)))
	if err == nil && result[0] == buried {
		s.cfg.Metrics.Dead(string(r.reason), 1)
		d.became(WasBuried, r.reason)
		s.log.ErrorContext(ctx, "message is a dead letter", "digest", d.digest(), "reason", r.reason, "error", brief(r.error))
	}
}

func (s *session) putOff(ctx context.Context, d *Delivery, w *putOff) {
	_, err := s.until(ctx, "put a message off", settlementBy(putoffScript,
		[]string{d.lane.key, s.keys.Delayed()},
		d.Payload, w.after.Milliseconds()))
	if err == nil {
		s.cfg.Metrics.PutOff()
		s.wakePromoter()
		d.became(WasPutOff, "")
		s.log.DebugContext(ctx, "message put off", "digest", d.digest(), "error", w.error)
	}
}

func (s *session) retry(ctx context.Context, d *Delivery, why error) {
	failure := &Failure{Err: why}
	_ = errors.As(why, &failure)
	last := cmp.Or(failure.Last, Exhausted)
	jitter := 0.8 + rand.Float64()*0.4
	result, err := s.until(ctx, "let a message wait", settlementBy(retryScript,
		append(d.lane.noted, s.keys.Delayed(), s.keys.Dead(), s.keys.Events()),
		d.Payload, d.digest(), s.cfg.RetryInitial.Milliseconds(), s.cfg.RetryMax.Milliseconds(),
		failure.After.Milliseconds(), jitter, s.cfg.MaxDeliveries, s.instance,
		d.order(), d.correlationID, string(last), brief(why)))
	if err != nil {
		return
	}
	switch answer, charged, wait := result[0], result[1], result[2]; answer {
	case delayed:
		s.cfg.Metrics.Retried(cmp.Or(failure.Kind, "failed"))
		s.wakePromoter()
		d.became(WasRetried, "")
		s.log.WarnContext(ctx, "message failed and will be retried",
			"digest", d.digest(), "error", brief(why), "deliveries", charged, "retry_in_ms", wait)
	case buried:
		s.cfg.Metrics.Dead(string(last), 1)
		d.became(WasBuried, last)
		s.log.ErrorContext(ctx, "message is a dead letter",
			"digest", d.digest(), "reason", last, "error", brief(why), "deliveries", charged)
	}
}

// brief is the text of an error as it is kept: an error may quote what it choked on.
func brief(err error) string {
	const most = 500
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// until sends a settlement again until Redis has answered it; that is safe, for each is
// repeatable. (Of two identical copies in one list a second run may settle the other
// one: they ask for the same.) It stops when the session ends, but not before one try.
func (s *session) until(ctx context.Context, name string, request *settlement) (answer []int64, err error) {
	err = outage.RideQuietly(ctx, s.log, name, isReply, func() (err error) {
		answer, err = s.settlements.Do(request)
		return err
	})
	return answer, err
}
