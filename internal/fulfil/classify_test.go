package fulfil

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return fmt.Errorf("claim order 17: %w", err) }
	inHand := func(d time.Duration) error { return wrap(&order.InHandError{RetryIn: d}) }
	later := wrap(&order.TryLaterError{After: time.Minute, Err: io.EOF})
	both := fmt.Errorf("%w: %w", errTimeout, wrap(order.ErrRejected))
	plain := errors.New("what nobody foresaw")
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"what is done is done", nil, nil},
		{"what is no message is a dead letter", wrap(order.ErrMalformed), queue.Reject(queue.Malformed, wrap(order.ErrMalformed))},
		{"what is out of range is a dead letter", wrap(order.ErrInvalid), queue.Reject(queue.Invalid, wrap(order.ErrInvalid))},
		{"what the work refuses is a dead letter", wrap(order.ErrRejected), queue.Reject(queue.Rejected, wrap(order.ErrRejected))},
		{"a state of somebody else's is a dead letter", wrap(order.ErrForeign), queue.Reject(queue.Rejected, wrap(order.ErrForeign))},
		{"an unknown order is tried again and is unknown to the last", wrap(order.ErrUnknown), &queue.Failure{Err: wrap(order.ErrUnknown), Last: queue.UnknownOrder, Kind: "unknown_order"}},
		{"a superseded worker's message waits", wrap(order.ErrSuperseded), queue.PutOff(copyWait, wrap(order.ErrSuperseded))},
		{"an order in somebody's hand for a while is looked at again soon", inHand(time.Hour), queue.PutOff(copyWait, inHand(time.Hour))},
		{"an order in somebody's hand for a moment is looked at then", inHand(time.Millisecond), queue.PutOff(time.Millisecond, inHand(time.Millisecond))},
		{"a failure whose source says when to come back", later, &queue.Failure{Err: later, After: time.Minute, Kind: "try_later"}},
		{"work that is refused when its time is over stays refused", both, queue.Reject(queue.Rejected, both)},
		{"work that takes too long is tried again", errTimeout, &queue.Failure{Err: errTimeout, Kind: "timeout"}},
		{"what nobody foresaw is tried again", plain, plain},
		{"a lost lease is a plain error", queue.ErrLeaseLost, queue.ErrLeaseLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := classify(tt.err); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("classify(%v) = %#v, want %#v", tt.err, got, tt.want)
			}
		})
	}
}

// Each error that callers decide on is decided on: by the table, or before it.
func TestClassify_hasARuleForEachError(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		order.ErrMalformed, order.ErrInvalid, order.ErrUnknown, order.ErrSuperseded, order.ErrForeign, order.ErrRejected,
		&order.InHandError{RetryIn: time.Second}, &order.TryLaterError{After: time.Second, Err: io.EOF},
	} {
		if classify(err) == err { //nolint:errorlint // unchanged means that no rule matched
			t.Errorf("no rule matches %q", err)
		}
	}
}
