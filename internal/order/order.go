// Package order is the domain: what an order's message says, through which
// states an order goes, and what can be wrong with either.
//
// # What callers may rely on
//
//   - A [Message] that [Decode] returned is valid: its ids and its quantity are
//     positive.
//   - Every error that callers decide on is a value of this package.
//
// # What this package never does
//
//   - It does no I/O and imports only the standard library.
//   - It never changes a payload.
package order

import (
	"errors"
	"fmt"
	"time"
)

// Status is the state of an order, as the orders table spells it.
type Status string

// The states of an order. The only steps are pending → processing,
// processing → processing (taken over) and processing → fulfilled.
const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Fulfilled  Status = "fulfilled"
)

// Errors that callers decide on. Test for them with [errors.Is].
var (
	// ErrMalformed means that a payload is not the message's JSON. It will
	// never be; keep it as a dead letter.
	ErrMalformed = errors.New("not an order message")

	// ErrInvalid means that a field of the message is missing or out of range.
	// Keep it as a dead letter.
	ErrInvalid = errors.New("invalid order message")

	// ErrUnknown means that there is no such order. Its INSERT may not be
	// committed yet: try again before giving it up.
	ErrUnknown = errors.New("no such order")

	// ErrFulfilled means that the order is fulfilled already. The message has
	// done its work; forget it.
	ErrFulfilled = errors.New("order is fulfilled already")

	// ErrSuperseded means that somebody else took the order over: the caller's
	// claim is worth nothing any more, and it has changed nothing.
	ErrSuperseded = errors.New("order was taken over")

	// ErrForeign means that the order is in a state that is none of this
	// worker's. Leave it alone.
	ErrForeign = errors.New("order is in a state of somebody else's")

	// ErrRejected means that the work refused the order for good. Trying again
	// is pointless; keep it as a dead letter.
	ErrRejected = errors.New("order rejected")
)

// InHandError says that somebody else has the order in hand. Wait for him: come
// back after RetryIn at the earliest. If that is not above zero, nobody has touched the
// order for so long that it may be taken over.
type InHandError struct {
	RetryIn time.Duration
	Version string // of the order, as it was seen in that hand
	Ours    bool   // it was changed since a claim of ours that had no answer: most likely by us
}

func (e *InHandError) Error() string {
	return fmt.Sprintf("order is in somebody else's hand, or was until lately (%v left)", e.RetryIn)
}

// TryLaterError is a failure whose source said when to try again, as
// Retry-After does in HTTP.
type TryLaterError struct {
	After time.Duration
	Err   error
}

func (e *TryLaterError) Error() string { return e.Err.Error() }

// Unwrap returns the failure itself.
func (e *TryLaterError) Unwrap() error { return e.Err }
