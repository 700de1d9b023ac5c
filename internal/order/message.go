package order

import (
	"crypto/rand"
	"encoding/json"
	"errors"
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
	var m Message
	var fields map[string]json.RawMessage // a struct would take fields in other capitals, too
	if err := json.Unmarshal(payload, &fields); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if fields == nil {
		return m, fmt.Errorf("%w: it is null", ErrMalformed)
	}
	m.Queued = parseTimestamp(fields["timestamp"])
	if err := errors.Join(
		read(fields, "order_id", &m.OrderID),
		read(fields, "product_id", &m.ProductID),
		read(fields, "quantity", &m.Quantity),
		read(fields, "correlation_id", &m.CorrelationID),
	); err != nil {
		return m, fmt.Errorf("%w: %s", ErrMalformed, oneLine(err))
	}
	if err := errors.Join(
		positive(fields, "order_id", m.OrderID),
		positive(fields, "product_id", m.ProductID),
		positive(fields, "quantity", m.Quantity),
	); err != nil {
		return m, fmt.Errorf("%w: %s", ErrInvalid, oneLine(err))
	}
	return m, nil
}

// read sets what into points to, unless the field is absent or null.
func read(fields map[string]json.RawMessage, name string, into any) error {
	raw, ok := fields[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func positive(fields map[string]json.RawMessage, name string, value int64) error {
	switch raw, ok := fields[name]; {
	case !ok || string(raw) == "null":
		return fmt.Errorf("%s is missing", name)
	case value < 1:
		return fmt.Errorf("%s is %d, must be at least 1", name, value)
	}
	return nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ", ") }

// timestampLayouts are the shapes of Python's isoformat(). The fraction is
// optional in each: time.Parse takes one where the layout has none.
var timestampLayouts = []string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
}

// parseTimestamp reads a timestamp, in UTC where it names no zone. It returns
// the zero time for anything else.
func parseTimestamp(raw json.RawMessage) time.Time {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return time.Time{}
	}
	for _, layout := range timestampLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
