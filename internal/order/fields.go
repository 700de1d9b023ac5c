package order

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fields are those of a payload that a [Message] is made of.
type fields struct {
	orderID, productID, quantity number
	correlationID                text
	queued                       time.Time
	traceparent, tracestate      string
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
	case "traceparent":
		f.traceparent = parseTraceparent(readText(value).value)
	case "tracestate":
		f.tracestate = readText(value).value
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

// parseTraceparent returns the part of s that every version of W3C Trace Context has, or
// nothing where s is no traceparent: none of its ids may be zero.
func parseTraceparent(s string) string {
	const shape = "00-00000000000000000000000000000000-0000000000000000-00" // version, trace, span, flags
	const trace, span, flags = 3, 36, 53
	if len(s) < len(shape) {
		return ""
	}
	for i, c := range []byte(shape) {
		if s[i] != c && (c == '-' || !isHex(s[i])) {
			return ""
		}
	}
	version, more := s[:2], s[len(shape):]
	switch {
	case version == "ff", more != "" && (version == "00" || more[0] != '-'),
		s[trace:span] == shape[trace:span], s[span:flags] == shape[span:flags]:
		return ""
	}
	return s[:len(shape)]
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// stateOfTrace is the tracestate, if it has a trace and may stand in a header as it is. A
// longer one than all must pass on is left out: a server might refuse it, and the order.
func (f *fields) stateOfTrace() string {
	const most = 512
	unfit := func(r rune) bool { return r < ' ' || r > '~' }
	if f.traceparent == "" || len(f.tracestate) > most || strings.ContainsFunc(f.tracestate, unfit) {
		return ""
	}
	return f.tracestate
}
