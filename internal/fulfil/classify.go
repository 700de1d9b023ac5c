package fulfil

import (
	"errors"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

// copyWait is the longest pause between two looks of a message at an order that is in
// somebody else's hand.
const copyWait = time.Second

// rules is the one table from what happened to an order to what becomes of its
// message. The first match wins.
var rules = []struct {
	err    error
	become func(error) error
}{
	{order.ErrMalformed, reject(queue.Malformed)},
	{order.ErrInvalid, reject(queue.Invalid)},
	{order.ErrRejected, reject(queue.Rejected)},
	{order.ErrForeign, reject(queue.Rejected)},
	{order.ErrUnknown, func(err error) error {
		return &queue.Failure{Err: err, Last: queue.UnknownOrder, Kind: "unknown_order"}
	}},
	{order.ErrSuperseded, func(err error) error { return queue.PutOff(copyWait, err) }},
}

// classify turns the error of an order into one that the queue acts upon. What nobody
// foresaw is a failure: it is charged and tried again, for losing an order is worse
// than trying once too often.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, rule := range rules {
		if errors.Is(err, rule.err) {
			return rule.become(err)
		}
	}
	var inHand *order.InHandError
	if errors.As(err, &inHand) {
		return queue.PutOff(min(inHand.RetryIn, copyWait), err)
	}
	var later *order.TryLaterError
	if errors.As(err, &later) {
		return &queue.Failure{Err: err, After: later.After, Kind: "try_later"}
	}
	if errors.Is(err, errTimeout) {
		return &queue.Failure{Err: err, Kind: "timeout"}
	}
	return err
}

func reject(reason queue.Reason) func(error) error {
	return func(err error) error { return queue.Reject(reason, err) }
}
