package fulfil

import (
	"context"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/traces"
)

// Relay is [Fulfiller.Finish] of the one delivery and [Fulfiller.Prepare] of the other, in one
// transaction where nothing is in the way: with one order in hand at a time, one commit for
// each rather than two. It is a [queue.Consumer]'s Relay.
func (f *Fulfiller) Relay(_ context.Context, done, next *queue.Delivery) error {
	r, n := done.Prepared.(*request), f.open(next)
	next.Prepared = n
	id := r.message.OrderID
	if !r.worked || n.err != nil || n.message.OrderID == id { // a copy finds the order fulfilled
		return f.finishTogether([]*request{r})[0]
	}
	n.trace.Enter(traces.Row)
	finish, claim := f.Orders.FinishAndClaim(db.Claimed{ID: id, Token: r.token}, n.message.OrderID)
	r.finish, n.claim = &finish, &claim
	if n.claimed() {
		crash.At("row_claimed")
		n.trace.Enter(traces.Start)
	}
	if !finish.Succeeded() {
		return queue.ErrAlone
	}
	f.finished(r)
	return nil
}
