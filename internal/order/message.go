package order

import (
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

// wire is Message as JSON has it. Pointers tell an absent field from a zero.
type wire struct {
	OrderID       *int64          `json:"order_id"`
	ProductID     *int64          `json:"product_id"`
	Quantity      *int64          `json:"quantity"`
	CorrelationID string          `json:"correlation_id"`
	Timestamp     json.RawMessage `json:"timestamp"`
}

// Decode reads one payload: a JSON object with the fields of [Message]; fields
// that it does not know are allowed. Its error matches [ErrMalformed] where the
// payload is something else, and [ErrInvalid] where order_id, product_id or
// quantity is missing or not positive. The message holds, in either case,
// whatever could be read.
func Decode(payload []byte) (Message, error) {
	var w wire
	err := json.Unmarshal(payload, &w)
	m := Message{
		OrderID:       value(w.OrderID),
		ProductID:     value(w.ProductID),
		Quantity:      value(w.Quantity),
		CorrelationID: w.CorrelationID,
		Queued:        parseTimestamp(w.Timestamp),
	}
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := errors.Join(
		positive("order_id", w.OrderID),
		positive("product_id", w.ProductID),
		positive("quantity", w.Quantity),
	); err != nil {
		return m, fmt.Errorf("%w: %s", ErrInvalid, strings.ReplaceAll(err.Error(), "\n", ", "))
	}
	return m, nil
}

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

func positive(field string, p *int64) error {
	switch {
	case p == nil:
		return fmt.Errorf("%s is missing", field)
	case *p < 1:
		return fmt.Errorf("%s is %d, must be at least 1", field, *p)
	}
	return nil
}

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
