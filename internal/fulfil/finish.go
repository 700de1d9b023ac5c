package fulfil

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

// Finish sets the orders fulfilled whose work is done: one statement for all where nothing
// is in the way. It is a [queue.Consumer]'s Finish.
func (f *Fulfiller) Finish(_ context.Context, all []*queue.Delivery) []error {
	requests := make([]*request, len(all))
	for i, d := range all {
		requests[i] = d.Prepared.(*request)
	}
	if len(all) == 1 {
		return []error{classify(f.finish(requests[0]))}
	}
	return f.finishTogether(requests)
}

func (f *Fulfiller) finishTogether(all []*request) []error {
	errs := make([]error, len(all))
	claimed, places := make([]db.Claimed, 0, len(all)), make([]int, 0, len(all))
	twice := make(map[int64]bool, len(all))
	for i, r := range all {
		switch id := r.message.OrderID; {
		case !r.worked: // there was nothing to do
		case twice[id]:
			errs[i] = queue.ErrAlone
		default:
			twice[id] = true
			claimed, places = append(claimed, db.Claimed{ID: id, Token: r.token}), append(places, i)
		}
	}
	attempts := f.Orders.FinishTogether(claimed)
	for i := range attempts {
		r := all[places[i]]
		if r.finish = &attempts[i]; r.finish.Succeeded() {
			f.finished(r)
		} else {
			errs[places[i]] = queue.ErrAlone
		}
	}
	return errs
}

// finish tries at least once, even if the worker was told to stop meanwhile: what is
// done shall be known to be done.
func (f *Fulfiller) finish(r *request) (err error) {
	if !r.worked {
		return nil
	}
	if r.finish != nil {
		err = f.Orders.GoOnFinishing(r.ctx, *r.finish)
	} else {
		err = f.Orders.Finish(r.ctx, r.message.OrderID, r.token)
	}
	switch {
	case err == nil:
		f.finished(r)
	case errors.Is(err, order.ErrFulfilled):
		f.Metrics.Fenced()
		f.Log.WarnContext(r.ctx, "Order was fulfilled by its new holder, nothing changed")
		return nil
	case errors.Is(err, order.ErrSuperseded):
		f.Metrics.Fenced()
		f.Log.WarnContext(r.ctx, "Order was taken over, nothing changed", "error", err)
	}
	return err
}

// finished says that the order is fulfilled.
func (f *Fulfiller) finished(r *request) {
	crash.At("fulfilled")
	f.Metrics.Fulfilled(r.message.Queued, r.took)
	logger.Info(r.ctx, f.Log, "Order "+strconv.FormatInt(r.message.OrderID, 10)+" fulfilled",
		slog.Int64("processing_duration_ms", r.took.Milliseconds()))
}
