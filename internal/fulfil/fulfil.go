// Package fulfil is one order's life in this worker: decode the message, claim the
// row, do the work, finish the row. It is the only place that is given a delivery and
// changes a row, so that "store, then acknowledge" can be broken only here.
//
// # What callers may rely on
//
//   - [Fulfiller.Finish] and [Fulfiller.Relay] return nil only for an order that is
//     fulfilled in PostgreSQL; the message may be forgotten then, and not before.
//   - Work begins only for an order that is claimed, and after the queue has been
//     told, with whether it was taken out of a former holder's hand: an order that
//     kills its workers is counted.
//   - Every other error it returns is one that the queue acts upon; [classify] is the
//     one table that says how.
//
// # What this package never does
//
//   - It never acknowledges a message, and never writes to PostgreSQL but through the
//     orders table it was given.
package fulfil

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/traces"
)

// Work is what fulfilling an order means outside the orders table. Do returns nil
// when it is done, or an error: one that matches [order.ErrRejected] to refuse the
// order for good, an [*order.TryLaterError], or any other for a failure that may pass.
// It returns soon after ctx is done. It may be called again for the same order.
type Work interface {
	Do(ctx context.Context, m order.Message) error
}

// Orders is the orders table; [*db.Orders] is the real one and documents the methods.
type Orders interface {
	ClaimTogether(ids []int64) []db.Attempt
	GoOnClaiming(ctx context.Context, a db.Attempt) (db.Token, error)
	Claim(ctx context.Context, id int64, version string) (db.Token, error)
	FinishTogether(all []db.Claimed) []db.Attempt
	FinishAndClaim(done db.Claimed, next int64) (finish, claim db.Attempt)
	GoOnFinishing(ctx context.Context, a db.Attempt) error
	Finish(ctx context.Context, id int64, token db.Token) error
}

// Delivery is a message in hand; [*queue.Delivery] is the real one and documents the
// methods.
type Delivery interface {
	Concerns(orderID int64, correlationID string)
	MayTakeOver(ctx context.Context) (bool, error)
	Start(ctx context.Context, heir bool) error
	Number() int
}

// Fulfiller fulfils the orders that messages ask for. All fields but the last two are required.
type Fulfiller struct {
	Orders  Orders
	Work    Work
	Timeout time.Duration // of the work on one order
	Log     *slog.Logger
	Metrics *metrics.Metrics // nil: nothing is counted
	Traces  *traces.Tracer   // nil: none are made
}

// Handle does the work that one message asks for, and leaves what remains to
// [Fulfiller.Finish], without which its nil is worth nothing. It is a [queue.Handler].
func (f *Fulfiller) Handle(ctx context.Context, d *queue.Delivery) error {
	r, prepared := d.Prepared.(*request)
	if !prepared {
		r = f.open(d)
		d.Prepared = r
	}
	return classify(f.handle(ctx, d, r))
}

func (f *Fulfiller) handle(ctx context.Context, d Delivery, r *request) (err error) {
	m := r.message
	if r.err != nil {
		return r.err
	}
	ctx = r.trace.Context(logger.WithOrder(ctx, m.OrderID, m.CorrelationID))
	r.ctx = ctx

	if r.token, err = f.claim(ctx, d, r); err != nil {
		return f.unclaimed(ctx, err)
	}
	if !r.claimed() {
		crash.At("row_claimed")
	}
	r.trace.Enter(traces.Start)
	if err := d.Start(ctx, r.heir); err != nil {
		return err
	}
	r.trace.Number(d.Number())
	r.trace.Enter(traces.Work)
	logger.Info(ctx, f.Log, "Processing order "+strconv.FormatInt(m.OrderID, 10), slog.Int("delivery", d.Number()))
	f.Metrics.Begun(d.Number(), m.Queued, r.claimedAt)
	start := time.Now()
	if err := f.work(ctx, r.trace.Pass(m)); err != nil {
		return err
	}
	r.took, r.worked = time.Since(start), true
	crash.At("worked")
	r.trace.Enter(traces.Finish)
	return nil
}

// claim takes the order over from a former holder only where the queue knows that there is
// none any more, or nobody has touched it for long, and only as he left it: the look holds
// for him, not for who was quicker. What was most likely our own claim, and had no answer, is
// ours as long as the message is.
func (f *Fulfiller) claim(ctx context.Context, d Delivery, r *request) (db.Token, error) {
	id := r.message.OrderID
	token, err := f.firstClaim(ctx, r)
	for first := true; ; first = false {
		var inHand *order.InHandError
		if !errors.As(err, &inHand) || !first && !inHand.Ours {
			return token, err
		}
		may, lookErr := d.MayTakeOver(ctx)
		if lookErr != nil {
			return "", lookErr
		}
		if !may && !inHand.Ours && inHand.RetryIn > 0 {
			return "", err
		}
		r.heir = r.heir || !inHand.Ours
		if token, err = f.Orders.Claim(ctx, id, inHand.Version); err == nil {
			f.Metrics.TookOver()
			r.trace.TakenOver()
			f.Log.InfoContext(ctx, fmt.Sprintf("Order %d taken over from a former holder", id))
		}
	}
}

func (f *Fulfiller) firstClaim(ctx context.Context, r *request) (db.Token, error) {
	if r.claim != nil {
		return f.Orders.GoOnClaiming(ctx, *r.claim)
	}
	r.trace.Enter(traces.Row)
	return f.Orders.Claim(ctx, r.message.OrderID, "")
}

// unclaimed turns a copy of a fulfilled order into success.
func (f *Fulfiller) unclaimed(ctx context.Context, err error) error {
	if errors.Is(err, order.ErrFulfilled) {
		f.Metrics.Copy()
		f.Log.InfoContext(ctx, "Order was fulfilled before, message dropped")
		return nil
	}
	return err
}

var errTimeout = errors.New("ORDER_TIMEOUT is over")

func (f *Fulfiller) work(ctx context.Context, m order.Message) error {
	limited, cancel := context.WithTimeoutCause(ctx, f.Timeout, errTimeout)
	defer cancel()
	crash.At("working")
	err := f.Work.Do(limited, m)
	if err != nil && ctx.Err() == nil && limited.Err() != nil && !errors.Is(err, errTimeout) {
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return err
}
