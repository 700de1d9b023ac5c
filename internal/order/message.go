package order

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Message is what the Order API queues for each order.
type Message struct {
	OrderID       int64
	ProductID     int64
	Quantity      int64
	CorrelationID string

	// Queued is when the Order API says it queued the order; zero where its
	// timestamp is absent or unreadable, for no order fails over that.
	Queued time.Time

	// Traceparent and Tracestate are the trace that the order belongs to, as W3C Trace
	// Context has them in HTTP headers; empty where they are absent or not valid, for no
	// order fails over that, either.
	Traceparent, Tracestate string
}

// Encode writes the payload as the Order API does: one line, as Python's json.dumps and
// isoformat spell it.
func (m Message) Encode() string {
	id, _ := json.Marshal(m.CorrelationID) // a text has no error
	return fmt.Sprintf(`{"order_id": %d, "product_id": %d, "quantity": %d, "correlation_id": %s, "timestamp": "%s"}`,
		m.OrderID, m.ProductID, m.Quantity, id, m.Queued.UTC().Format("2006-01-02T15:04:05.000000"))
}

// NewCorrelationID is a random UUID, version 4.
func NewCorrelationID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Decode reads one payload: a JSON object with the fields of [Message], spelt exactly
// so; fields that it does not know are allowed. Its error matches [ErrMalformed] where
// the payload is something else, and [ErrInvalid] where order_id, product_id or
// quantity is missing or not positive. The message holds, in either case, whatever
// could be read.
func Decode(payload []byte) (Message, error) {
	f, ok := quick(payload)
	if !ok {
		var err error
		if f, err = thorough(payload); err != nil {
			return Message{}, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	m := Message{f.orderID.value, f.productID.value, f.quantity.value, f.correlationID.value, f.queued, f.traceparent, f.stateOfTrace()}
	if err := f.unreadable(); err != nil {
		return m, fmt.Errorf("%w: %s", ErrMalformed, oneLine(err))
	}
	if err := f.unfit(); err != nil {
		return m, fmt.Errorf("%w: %s", ErrInvalid, oneLine(err))
	}
	return m, nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ", ") }
