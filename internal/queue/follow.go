package queue

import (
	"context"
	"errors"
	"time"
)

// Outcome is what became of a message that was in hand.
type Outcome string

// The outcomes of a delivery.
const (
	WasAcked      Outcome = "acked"
	WasRetried    Outcome = "retried"
	WasBuried     Outcome = "dead"
	WasPutOff     Outcome = "put_off"
	WasHandedBack Outcome = "handed_back" // by a worker that stops
	WasLost       Outcome = "lost"        // it was not this worker's any more
)

// Fate is how a delivery went on after its handler.
type Fate struct {
	Outcome Outcome
	Reason  Reason    // of a dead letter
	Error   string    // the handler's; "" is none
	Handled time.Time // when the handler, and Finish, had returned: the settlement began
}

// Origin is where a delivery comes from.
type Origin struct {
	Queue, Instance string
	Digest          string    // of the payload
	Claimed         time.Time // when its claim began; of one that waited, when it was answered
}

// Origin says where the delivery comes from.
func (d *Delivery) Origin() Origin {
	return Origin{d.session.cfg.Name, d.session.instance, d.digest(), d.asked}
}

// follower is who follows a delivery, and what he will be told.
type follower struct {
	traceID, spanID string
	settled         func(Fate)
	fate            Fate
}

// Follow puts the ids of a trace into what the queue logs about the message from here on,
// and has settled called with what becomes of it. Others wait until settled returns.
func (d *Delivery) Follow(traceID, spanID string, settled func(Fate)) {
	d.follower = &follower{traceID: traceID, spanID: spanID, settled: settled}
}

// handled notes how the handler returned.
func (d *Delivery) handled(err error) {
	f := d.follower
	if f == nil {
		return
	}
	f.fate.Handled = time.Now()
	if err != nil {
		f.fate.Error = brief(err)
	}
}

// became notes what Redis did with the message.
func (d *Delivery) became(outcome Outcome, reason Reason) {
	if f := d.follower; f != nil {
		f.fate.Outcome, f.fate.Reason = outcome, reason
	}
}

// tell tells the follower, when nothing more will become of the delivery here. What Redis
// did nothing with is handed back, or others have it.
func (d *Delivery) tell() {
	f := d.follower
	if f == nil {
		return
	}
	if f.fate.Outcome == "" {
		f.fate.Outcome = WasLost
		if errors.Is(context.Cause(d.session.live), ErrShutdown) {
			f.fate.Outcome = WasHandedBack
		}
	}
	f.settled(f.fate)
}
