package fulfil

import (
	"context"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/traces"
)

// request is what a message asks for, and what was done about it already.
type request struct {
	message   order.Message
	err       error     // why it cannot be read
	claimedAt time.Time // when the message was, or a moment later
	trace     *traces.Order
	ctx       context.Context // of the handler, and about the order

	claim  *db.Attempt   // by the preparation; nil: none
	token  db.Token      // from the claim that succeeded
	heir   bool          // the order was in a former holder's hand
	worked bool          // and so the order can be finished
	took   time.Duration // the work
	finish *db.Attempt   // together with others; nil: none
}

// open reads the message of a delivery, and begins its trace.
func (f *Fulfiller) open(d *queue.Delivery) *request {
	r := read(d, d.Payload)
	r.trace = f.Traces.Follow(d, r.message)
	return r
}

func read(d Delivery, payload []byte) *request {
	m, err := order.Decode(payload)
	d.Concerns(m.OrderID, m.CorrelationID)
	return &request{message: m, err: err, claimedAt: time.Now()}
}

// claimed reports whether the preparation has claimed the order.
func (r *request) claimed() bool { return r.claim != nil && r.claim.Succeeded() }

// Prepare claims the orders of messages that were claimed together: one statement for all
// where nothing is in the way. What that leaves undone is done by [Fulfiller.Handle]. It is a
// [queue.Consumer]'s Prepare.
func (f *Fulfiller) Prepare(_ context.Context, all []*queue.Delivery) {
	ids, requests := make([]int64, 0, len(all)), make([]*request, 0, len(all))
	twice := make(map[int64]bool, len(all))
	for _, d := range all {
		r := f.open(d)
		d.Prepared = r
		if id := r.message.OrderID; r.err == nil && !twice[id] { // a copy comes too late in any case
			twice[id] = true
			r.trace.Enter(traces.Row)
			ids, requests = append(ids, id), append(requests, r)
		}
	}
	if len(ids) == 0 {
		return
	}
	attempts := f.Orders.ClaimTogether(ids)
	for i := range attempts {
		if requests[i].claim = &attempts[i]; requests[i].claimed() {
			crash.At("row_claimed")
			requests[i].trace.Enter(traces.Start)
		}
	}
}
