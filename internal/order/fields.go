package order

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// fields are those of a payload that a [Message] is made of.
type fields struct {
	orderID, productID, quantity number
	correlationID                text
	queued                       time.Time
}

// thorough reads any payload there may be.
func thorough(payload []byte) (f fields, err error) {
	var all map[string]json.RawMessage // a struct would take fields in other capitals, too
	if err := json.Unmarshal(payload, &all); err != nil {
		return f, err
	}
	if all == nil {
		return f, errors.New("it is null")
	}
	for name, value := range all {
		f.set(name, value)
	}
	return f, nil
}

// set reads a field's value, which is valid JSON. Where it was set before, that is
// forgotten: the last counts.
func (f *fields) set(name string, value []byte) {
	switch name {
	case "order_id":
		f.orderID = readNumber(value)
	case "product_id":
		f.productID = readNumber(value)
	case "quantity":
		f.quantity = readNumber(value)
	case "correlation_id":
		f.correlationID = readText(value)
	case "timestamp":
		f.queued = parseTimestamp(readText(value).value)
	}
}

// unreadable names the fields whose values are of another type.
func (f *fields) unreadable() error {
	return errors.Join(
		about("order_id", f.orderID.err),
		about("product_id", f.productID.err),
		about("quantity", f.quantity.err),
		about("correlation_id", f.correlationID.err),
	)
}

func about(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// unfit names the fields that are missing or not positive.
func (f *fields) unfit() error {
	return errors.Join(
		f.orderID.positive("order_id"),
		f.productID.positive("product_id"),
		f.quantity.positive("quantity"),
	)
}

// number is a field that must be a whole number.
type number struct {
	value int64
	given bool // and not null
	err   error
}

func readNumber(value []byte) number {
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return number{value: n, given: true}
	}
	var n number
	n.given = string(value) != "null"
	n.err = json.Unmarshal(value, &n.value) // for its words
	return n
}

func (n number) positive(name string) error {
	switch {
	case !n.given:
		return fmt.Errorf("%s is missing", name)
	case n.value < 1:
		return fmt.Errorf("%s is %d, must be at least 1", name, n.value)
	}
	return nil
}

// text is a field that must be a string, if it is there.
type text struct {
	value string
	err   error
}

func readText(value []byte) text {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) {
		return text{value: string(value[1 : len(value)-1])} // it stands for itself
	}
	var t text
	t.err = json.Unmarshal(value, &t.value)
	return t
}

// parseTimestamp reads what Python's isoformat() writes, in UTC where it names no zone.
// It returns the zero time for anything else. The fraction is optional: time.Parse takes
// one where the layout has none. Package time is quickest with RFC 3339, and slow to fail.
func parseTimestamp(s string) time.Time {
	const day, offset = len("2006-01-02"), len("+07:00")
	if len(s) <= day+offset {
		return time.Time{}
	}
	if sign := s[len(s)-offset]; s[len(s)-1] != 'Z' && sign != '+' && sign != '-' {
		s += "Z"
	}
	layout := time.RFC3339
	if s[day] == ' ' {
		layout = "2006-01-02 15:04:05Z07:00"
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
