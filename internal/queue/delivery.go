package queue

import (
	"context"
	_ "embed"
	"strconv"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/outage"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/start.lua
var startLua string

var startScript = redis.NewScript(startLua)

// Delivery is one message on its way through a handler.
type Delivery struct {
	Payload  []byte // byte for byte what was queued
	Prepared any    // what [Consumer.Prepare] or the handler has left

	session *session
	lane    *lane
	gang    *gang
	payload string // the same
	digest  string
	note    string // that the work has begun, see start.lua

	orderID       int64  // zero until Concerns has said
	correlationID string // so, too
	charged       int    // zero until Start has asked
	started       int    // 1 once Start has noted it: the note is this delivery's to remove
	released      bool   // its slot is
	done          bool   // it is counted as fulfilled, and not yet forgotten

	ack     settlement // once it is fulfilled
	ackArgs [2]any

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

// order is the order's id as the scripts get it: empty where it is unknown.
func (d *Delivery) order() string {
	if d.orderID == 0 {
		return ""
	}
	return strconv.FormatInt(d.orderID, 10)
}

// Start notes that the work begins: from here on the worker's death is charged to
// the message. It waits out an outage of Redis, and returns [ErrLeaseLost] if the
// message is not this worker's any more, or the cause of ctx's end; the work must
// not begin then.
func (d *Delivery) Start(ctx context.Context) error {
	if d.started == 1 {
		return nil // by StartTogether
	}
	s := d.session
	err := outage.RideQuietly(ctx, s.log, "note the start of the work", isReply, func() error {
		charged, err := s.starts.Do(d)
		if err == nil && charged < 0 {
			return outage.Stop(ErrLeaseLost)
		}
		if err == nil {
			d.charged, d.started = int(charged), 1
		}
		return err
	})
	crash.At("started")
	return err
}

// StartTogether does at one go what [Delivery.Start] does for each; whom it does not start
// must start by himself. All are of one preparation.
func StartTogether(all []*Delivery) {
	if len(all) == 0 {
		return
	}
	all[0].gang.prepared() // as far as others need wait for it
	charged, err := all[0].session.noteStarts(all)
	for i, d := range all {
		if err == nil && charged[i] >= 0 {
			d.charged, d.started = int(charged[i]), 1
			crash.At("started")
		}
	}
}

// shareStarts notes all the starts that have gathered.
func (s *session) shareStarts(calls []*groupcommit.Call[*Delivery, int64]) {
	all := make([]*Delivery, len(calls))
	for i, c := range calls {
		all[i] = c.Request
	}
	charged, err := s.noteStarts(all)
	for i, c := range calls {
		if c.Err = err; err == nil {
			c.Answer = charged[i]
		}
	}
}

// noteStarts notes that the work on all of them begins, and returns what each was charged
// so far, or -1 for each if the lease is gone.
func (s *session) noteStarts(all []*Delivery) ([]int64, error) {
	args := make([]any, 1, 1+2*len(all))
	args[0] = s.instance
	for _, d := range all {
		args = append(args, d.note, d.about())
	}
	answer, err := s.run(context.Background(), startScript,
		[]string{s.keys.Workers(), s.keys.Worker(s.instance), s.keys.Deliveries(), s.keys.Redelivered()}, args...,
	).Int64Slice()
	if err != nil || len(answer) == len(all) {
		return answer, err
	}
	charged := make([]int64, len(all))
	for i := range charged {
		if len(answer) == 1 { // the lease is gone
			charged[i] = answer[0]
		}
	}
	return charged, nil
}

// about is what the note says: the order's id and its correlation id.
func (d *Delivery) about() string {
	about := make([]byte, 0, 64)
	if d.orderID != 0 {
		about = strconv.AppendInt(about, d.orderID, 10)
	}
	return string(append(append(about, ' '), d.correlationID...))
}

// Number counts the deliveries of the message that were charged, and this one. It
// is known once Start has returned.
func (d *Delivery) Number() int { return d.charged + 1 }

//go:embed lua/returned.lua
var returnedLua string

var returnedScript = redis.NewScript(returnedLua)

// MayTakeOver reports whether the message was in somebody's hands before and is in
// nobody's since: what he began may be taken over at once. It waits out an outage of
// Redis, and returns [ErrLeaseLost] if the message is not this worker's any more: what
// came back then is for its next holder. Otherwise it fails only when ctx ends.
func (d *Delivery) MayTakeOver(ctx context.Context) (bool, error) {
	s := d.session
	var returned int
	err := outage.RideQuietly(ctx, s.log, "look for a former holder", isReply, func() (err error) {
		returned, err = s.run(ctx, returnedScript, []string{s.keys.Workers(), s.keys.Redelivered()}, s.instance, d.digest).Int()
		if err == nil && returned < 0 {
			return outage.Stop(ErrLeaseLost)
		}
		return err
	})
	return returned == 1, err
}
