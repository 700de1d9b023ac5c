package queue

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/outage"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/start.lua
var startLua string

//go:embed lua/returned.lua
var returnedLua string

var (
	startScript    = redis.NewScript(startLua)
	returnedScript = redis.NewScript(returnedLua)
)

// Delivery is one message on its way through a handler.
type Delivery struct {
	Payload  []byte // byte for byte what was queued
	Prepared any    // what [Consumer.Prepare], [Consumer.Relay] or the handler has left

	session *session
	lane    *lane
	payload string // the same
	fresh   bool   // nothing was kept about it when it was claimed, and Redis was not asked since

	orderID       int64        // zero until Concerns has said
	correlationID string       // so, too
	charged       int          // zero until Start has asked
	begun         atomic.Int64 // when the work was, by [session.clock]; zero: it was not
	released      bool         // its slot is
	done          bool         // it is counted as one whose work is done

	ack     settlement // once it is fulfilled
	ackArgs [1]any

	asked    time.Time // when its claim began
	follower *follower // nil: nobody follows it
}

// Concerns says which order the message is about, for the dead letters, the events
// and the people who look. Call it as soon as it is known.
func (d *Delivery) Concerns(orderID int64, correlationID string) {
	d.orderID, d.correlationID = orderID, correlationID
}

// context is that of the session's handlers, for the log lines about this message.
func (d *Delivery) context() context.Context {
	ctx := logger.WithOrder(d.session.live, d.orderID, d.correlationID)
	if f := d.follower; f != nil {
		ctx = logger.WithTrace(ctx, f.traceID, f.spanID)
	}
	return ctx
}

// digest names the payload.
func (d *Delivery) digest() string { return Digest(d.Payload) }

// order is the order's id as the scripts get it: empty where it is unknown.
func (d *Delivery) order() string {
	if d.orderID == 0 {
		return ""
	}
	return strconv.FormatInt(d.orderID, 10)
}

// errUsedUp is why a message is a dead letter that was delivered before as often as it may be.
var errUsedUp = errors.New("its deliveries are used up")

// Start says that the work on a claimed order begins. An heir is who took the order out of the
// hand of a former holder: if that one died, its death is charged to the message now. Redis is
// asked only where it may have something to say: about a message that came back, and once the
// lease may be over.
//
// It waits out an outage of Redis, and returns [ErrLeaseLost] if the message is not this
// worker's any more, a rejection as [Exhausted] if it has no delivery left, or the cause of
// ctx's end; the work must not begin then.
func (d *Delivery) Start(ctx context.Context, heir bool) error {
	s := d.session
	if !d.fresh || heir || !s.leased() {
		d.fresh = false
		why := errUsedUp
		err := outage.RideQuietly(ctx, s.log, "begin the work", isReply, func() error {
			told, err := s.starts.Do(start{d.digest(), heir})
			if d.charged = int(told.charged); told.died != "" {
				why = fmt.Errorf("its worker died: %s", told.died)
			}
			return err
		})
		if err != nil {
			return err
		}
		if d.charged >= s.cfg.MaxDeliveries {
			return Reject(Exhausted, why)
		}
	}
	d.begun.Store(s.clock())
	s.changed()
	crash.At("started")
	return nil
}

// start is the beginning of the work on a message.
type start struct {
	digest string
	heir   bool
}

// started is what Redis says of it: the deliveries charged so far, and whose death one of them
// was for now, if anybody's.
type started struct {
	charged int64
	died    string
}

// shareStarts begins all the work that has gathered.
func (s *session) shareStarts(calls []*groupcommit.Call[start, started]) {
	args := make([]any, 1, 1+2*len(calls))
	args[0] = s.instance
	for _, c := range calls {
		args = append(args, c.Request.digest, c.Request.heir) // go-redis sends 1 or 0
	}
	answer, err := s.run(context.Background(), startScript,
		[]string{s.keys.Workers(), s.keys.Deliveries(), s.keys.Returned()}, args...,
	).Slice()
	if err == nil && len(answer) < 2*len(calls) {
		err = outage.Stop(ErrLeaseLost)
	}
	for i, c := range calls {
		if c.Err = err; err == nil {
			c.Answer = started{answer[2*i].(int64), answer[2*i+1].(string)}
			if c.Answer.died != "" {
				s.cfg.Metrics.DeathCharged()
			}
		}
	}
}

// Number counts the deliveries of the message that were charged, and this one. It
// is known once Start has returned.
func (d *Delivery) Number() int { return d.charged + 1 }

// MayTakeOver reports whether the message was in somebody's hands before and is in
// nobody's since: what he began may be taken over at once. It waits out an outage of
// Redis, and returns [ErrLeaseLost] if the message is not this worker's any more: what
// came back then is for its next holder. Otherwise it fails only when ctx ends.
func (d *Delivery) MayTakeOver(ctx context.Context) (bool, error) {
	s := d.session
	var returned int
	err := outage.RideQuietly(ctx, s.log, "look for a former holder", isReply, func() (err error) {
		returned, err = s.run(ctx, returnedScript, []string{s.keys.Workers(), s.keys.Returned()}, s.instance, d.digest()).Int()
		if err == nil && returned < 0 {
			return outage.Stop(ErrLeaseLost)
		}
		return err
	})
	return returned == 1, err
}
