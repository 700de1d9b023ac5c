package order_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/order"
)

func ExampleDecode() {
	m, err := order.Decode([]byte(`{
		"order_id": 17, "product_id": 3, "quantity": 2,
		"correlation_id": "0b6c", "timestamp": "2026-01-31T12:00:00.123456"
	}`))
	fmt.Println(m.OrderID, m.ProductID, m.Quantity, m.CorrelationID, m.Queued, err)

	_, err = order.Decode([]byte(`{"order_id": 17, "product_id": 3, "quantity": 0}`))
	fmt.Println(errors.Is(err, order.ErrInvalid), err)

	_, err = order.Decode([]byte(`order 17`))
	fmt.Println(errors.Is(err, order.ErrMalformed))
	// Output:
	// 17 3 2 0b6c 2026-01-31 12:00:00.123456 +0000 UTC <nil>
	// true invalid order message: quantity is 0, must be at least 1
	// true
}

// valid is a message with one more field.
func valid(more string) string {
	return `{"order_id": 17, "product_id": 3, "quantity": 2` + more + `}`
}

func TestDecode_acceptsWhatTheOrderAPISends(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	micro := noon.Add(123456 * time.Microsecond)
	at := func(timestamp string) string { return valid(`, "timestamp": ` + timestamp) }
	tests := []struct {
		name    string
		payload string
		queued  time.Time
	}{
		{"the three numbers alone", valid(""), time.Time{}},
		{"blanks and line ends around it", "\r\n\t " + valid("") + " \n", time.Time{}},
		{"a time with a fraction and without a zone is UTC", at(`"2026-01-31T12:00:00.123456"`), micro},
		{"a time without a fraction", at(`"2026-01-31T12:00:00"`), noon},
		{"a time in UTC by its offset", at(`"2026-01-31T12:00:00.123456+00:00"`), micro},
		{"a time east of UTC", at(`"2026-01-31T17:30:00+05:30"`), noon},
		{"a time west of UTC, the day before", at(`"2026-01-30T22:00:00.123456-14:00"`), micro},
		{"a time with Z", at(`"2026-01-31T12:00:00Z"`), noon},
		{"a time with a fraction and Z", at(`"2026-01-31T12:00:00.123456Z"`), micro},
		{"a time in milliseconds", at(`"2026-01-31T12:00:00.123"`), noon.Add(123 * time.Millisecond)},
		{"a blank in place of the T", at(`"2026-01-31 12:00:00"`), noon},
		{"a blank, a fraction and a zone", at(`"2026-01-31 14:00:00.123456+02:00"`), micro},
		{"a blank and Z", at(`"2026-01-31 12:00:00Z"`), noon},
		{"no time in the timestamp", at(`"yesterday"`), time.Time{}},
		{"a day that does not exist", at(`"2026-02-30T12:00:00"`), time.Time{}},
		{"an empty timestamp", at(`""`), time.Time{}},
		{"a timestamp that is null", at(`null`), time.Time{}},
		{"a timestamp that is a number", at(`1769860800.5`), time.Time{}},
		{"a timestamp that is an object", at(`{"seconds": 1}`), time.Time{}},
		{"fields that nobody knows", valid(`, "priority": "high", "tags": [1, null], "nested": {"order_id": "x"}`), time.Time{}},
		{"an unknown field nested deeply", valid(`, "x": ` + nested(5000)), time.Time{}},
		{"a field whose name differs in its capitals is another field", valid(`, "Order_ID": 18, "QUANTITY": "two"`), time.Time{}},
		{"a field whose name has an escape is the same field", `{"order\u005fid": 17, "product_id": 3, "quantity": 2}`, time.Time{}},
		{"of two fields with one name the last counts", `{"order_id": -1, "product_id": 3, "quantity": 2, "order_id": 17}`, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := order.Decode([]byte(tt.payload))
			want := order.Message{OrderID: 17, ProductID: 3, Quantity: 2, Queued: tt.queued}
			if got != want || err != nil {
				t.Errorf("Decode(%s) = %+v, %v, want %+v", short(tt.payload), got, err, want)
			}
		})
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func short(s string) string { return s[:min(len(s), 200)] }

func TestDecode_correlationID(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, json, want string }{
		{"one as the Order API makes it", `"0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11"`, "0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11"},
		{"none", `null`, ""},
		{"an empty one", `""`, ""},
		{"escaped characters", `"a\n\"\u00e9"`, "a\n\"é"},
		{"a NUL", `"a\u0000b"`, "a\x00b"},
		{"bytes that are no UTF-8 become the replacement character", "\"a\xffb\"", "a\uFFFDb"},
		{"half a surrogate pair, too", `"a\ud800b"`, "a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := order.Decode([]byte(valid(`, "correlation_id": ` + tt.json)))
			if m.CorrelationID != tt.want || err != nil {
				t.Errorf("correlation id %q, %v, want %q", m.CorrelationID, err, tt.want)
			}
		})
	}
}

func TestDecode_limits(t *testing.T) {
	t.Parallel()
	m, err := order.Decode([]byte(`{"order_id": 9223372036854775807, "product_id": 1, "quantity": 2147483648}`))
	want := order.Message{OrderID: 1<<63 - 1, ProductID: 1, Quantity: 1 << 31}
	if m != want || err != nil {
		t.Errorf("Decode = %+v, %v, want %+v", m, err, want)
	}
}

func TestDecode_refuses(t *testing.T) {
	t.Parallel()
	malformed, invalid := order.ErrMalformed, order.ErrInvalid
	tests := []struct {
		name    string
		payload string
		want    error
		text    string // in the error
	}{
		{"nothing", ``, malformed, ""},
		{"blanks", " \n", malformed, ""},
		{"a word", `hello`, malformed, ""},
		{"a string", `"17"`, malformed, ""},
		{"a number", `17`, malformed, ""},
		{"an array", `[]`, malformed, ""},
		{"a message in an array", `[` + valid("") + `]`, malformed, ""},
		{"null", `null`, malformed, ""},
		{"half a message", valid("")[:20], malformed, ""},
		{"more behind the message", valid("") + "x", malformed, ""},
		{"two messages", valid("") + valid(""), malformed, ""},
		{"a comma too many", valid(","), malformed, ""},
		{"Python's repr of a dict", `{'order_id': 17, 'product_id': 3, 'quantity': 2}`, malformed, ""},
		{"Python's NaN", `{"order_id": 17, "product_id": 3, "quantity": NaN}`, malformed, ""},
		{"a NUL behind the message", valid("") + "\x00", malformed, ""},
		{"a raw NUL in a string", valid(", \"correlation_id\": \"a\x00b\""), malformed, ""},
		{"a byte order mark in front", "\ufeff" + valid(""), malformed, ""},
		{"bytes that are no UTF-8", "\xff\xfe", malformed, ""},
		{"nested too deeply", valid(`, "x": ` + nested(20000)), malformed, ""},
		{"an id that is a string", `{"order_id": "17", "product_id": 3, "quantity": 2}`, malformed, "order_id"},
		{"an id with a fraction", `{"order_id": 17, "product_id": 3.5, "quantity": 2}`, malformed, "product_id"},
		{"an id that is a whole float", `{"order_id": 17.0, "product_id": 3, "quantity": 2}`, malformed, "order_id"},
		{"an id with an exponent", `{"order_id": 1e3, "product_id": 3, "quantity": 2}`, malformed, "order_id"},
		{"an id with a zero in front", `{"order_id": 017, "product_id": 3, "quantity": 2}`, malformed, ""},
		{"an id that is a sign alone", `{"order_id": -, "product_id": 3, "quantity": 2}`, malformed, ""},
		{"an id that is true", `{"order_id": true, "product_id": 3, "quantity": 2}`, malformed, "order_id"},
		{"an id that is an object", `{"order_id": {}, "product_id": 3, "quantity": 2}`, malformed, "order_id"},
		{"an id of 2 to the 63rd", `{"order_id": 9223372036854775808, "product_id": 3, "quantity": 2}`, malformed, "order_id"},
		{"a correlation id that is a number", valid(`, "correlation_id": 5`), malformed, "correlation_id"},

		{"an empty object", `{}`, invalid, "order_id is missing, product_id is missing, quantity is missing"},
		{"other fields only", `{"id": 17}`, invalid, "order_id is missing"},
		{"an id that is null", `{"order_id": null, "product_id": 3, "quantity": 2}`, invalid, "order_id is missing"},
		{"an order id of zero", `{"order_id": 0, "product_id": 3, "quantity": 2}`, invalid, "order_id is 0, must be at least 1"},
		{"a negative product id", `{"order_id": 17, "product_id": -3, "quantity": 2}`, invalid, "product_id is -3"},
		{"a quantity of zero", `{"order_id": 17, "product_id": 3, "quantity": 0}`, invalid, "quantity is 0"},
		{"no quantity", `{"order_id": 17, "product_id": 3}`, invalid, "quantity is missing"},
		{"the least number there is", `{"order_id": -9223372036854775808, "product_id": 3, "quantity": 2}`, invalid, "order_id is -9223372036854775808"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := order.Decode([]byte(tt.payload))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Decode(%s): %v, want %q", short(tt.payload), err, tt.want)
			}
			if errors.Is(err, malformed) == errors.Is(err, invalid) {
				t.Errorf("the error %q matches both reasons", err)
			}
			if text := err.Error(); !strings.Contains(text, tt.text) || strings.Contains(text, "\n") {
				t.Errorf("the error is %q, want one line with %q", text, tt.text)
			}
		})
	}
}

// The ids of a message that is refused go into its dead letter.
func TestDecode_returnsWhatItCouldRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, payload string
		want          order.Message
	}{
		{"a field of the wrong type", `{"quantity": "two", "order_id": 17, "product_id": 3, "correlation_id": "c"}`, order.Message{OrderID: 17, ProductID: 3, CorrelationID: "c"}},
		{"a field out of range", `{"order_id": 17, "product_id": 3, "quantity": -2, "correlation_id": "c"}`, order.Message{OrderID: 17, ProductID: 3, Quantity: -2, CorrelationID: "c"}},
		{"a field that is missing", `{"order_id": 17, "correlation_id": "c"}`, order.Message{OrderID: 17, CorrelationID: "c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := order.Decode([]byte(tt.payload))
			if got != tt.want || err == nil {
				t.Errorf("Decode = %+v, %v, want %+v and an error", got, err, tt.want)
			}
		})
	}
}

func TestTryLaterError_isTheFailureItself(t *testing.T) {
	t.Parallel()
	cause := errors.New("busy")
	err := fmt.Errorf("post: %w", &order.TryLaterError{After: time.Second, Err: cause})
	if !errors.Is(err, cause) || err.Error() != "post: busy" {
		t.Errorf("%q does not match %q, or says more", err, cause)
	}
}

// parent is a traceparent as the specification has it.
const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestDecode_traceContext(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a=1,", 128) // 512 characters
	tests := []struct{ name, json, parent, state string }{
		{"none", `"correlation_id": "c"`, "", ""},
		{"a trace", `"traceparent": "` + parent + `"`, parent, ""},
		{"a trace with its state", `"traceparent": "` + parent + `", "tracestate": "a=1, b@c=2"`, parent, "a=1, b@c=2"},
		{"the state first", `"tracestate": "a=1", "traceparent": "` + parent + `"`, parent, "a=1"},
		{"a trace that escapes hide", `"traceparent": "\u0030` + parent[1:] + `"`, parent, ""},
		{"a later version", `"traceparent": "cc` + parent[2:] + `"`, "cc" + parent[2:], ""},
		{"more in a later version", `"traceparent": "cc` + parent[2:] + `-\u0000"`, "cc" + parent[2:], ""},
		{"more than a later version may have", `"traceparent": "cc` + parent[2:] + `x"`, "", ""},
		{"more in the first version", `"traceparent": "` + parent + `-00"`, "", ""},
		{"the version that there is not", `"traceparent": "ff` + parent[2:] + `"`, "", ""},
		{"an empty one", `"traceparent": ""`, "", ""},
		{"one that is cut off", `"traceparent": "` + parent[:54] + `"`, "", ""},
		{"a letter that is no figure", `"traceparent": "` + strings.Replace(parent, "4b", "4g", 1) + `"`, "", ""},
		{"capitals", `"traceparent": "` + strings.ToUpper(parent) + `"`, "", ""},
		{"another mark than a dash", `"traceparent": "` + strings.Replace(parent, "-", "_", 1) + `"`, "", ""},
		{"a figure in place of a dash", `"traceparent": "` + strings.Replace(parent, "-", "0", 1) + `"`, "", ""},
		{"no trace", `"traceparent": "00-` + strings.Repeat("0", 32) + parent[35:] + `"`, "", ""},
		{"no span", `"traceparent": "` + parent[:36] + strings.Repeat("0", 16) + `-01"`, "", ""},
		{"null", `"traceparent": null, "tracestate": null`, "", ""},
		{"a number", `"traceparent": 5`, "", ""},
		{"an object", `"traceparent": {"version": "00"}`, "", ""},
		{"a state without a trace", `"tracestate": "a=1"`, "", ""},
		{"a state that is a list", `"traceparent": "` + parent + `", "tracestate": ["a=1"]`, parent, ""},
		{"a state that begins a header of its own", `"traceparent": "` + parent + `", "tracestate": "a=1\r\nX-Evil: 1"`, parent, ""},
		{"a state in letters that no header may hold", `"traceparent": "` + parent + `", "tracestate": "a=ü"`, parent, ""},
		{"a long state", `"traceparent": "` + parent + `", "tracestate": "` + long + `"`, parent, long},
		{"one that is too long", `"traceparent": "` + parent + `", "tracestate": "` + long + `b"`, parent, ""},
		{"of two traces the last counts", `"traceparent": "` + parent + `", "traceparent": "x"`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := order.Decode([]byte(valid(", " + tt.json)))
			if m.Traceparent != tt.parent || m.Tracestate != tt.state || err != nil {
				t.Errorf("the trace is %q, %q, %v, want %q, %q", m.Traceparent, m.Tracestate, err, tt.parent, tt.state)
			}
		})
	}
}

// check holds what Decode promises for one payload, whatever it is.
func check(tb testing.TB, payload []byte) {
	tb.Helper()
	before := string(payload)
	m, err := order.Decode(payload)
	if string(payload) != before {
		tb.Errorf("the payload %s was changed", short(before))
	}
	if want, reason := understood(payload); m != want || !errors.Is(err, reason) {
		tb.Errorf("Decode(%q) = %+v, %v, want %+v, %v", short(before), m, err, want, reason)
	}
	switch {
	case err == nil && (m.OrderID < 1 || m.ProductID < 1 || m.Quantity < 1):
		tb.Errorf("%+v is not valid, and there is no error", m)
	case err == nil:
		again, err := order.Decode(encode(m))
		if err != nil || again != m {
			tb.Errorf("%+v, written again, is read as %+v, %v", m, again, err)
		}
	case errors.Is(err, order.ErrMalformed) == errors.Is(err, order.ErrInvalid):
		tb.Errorf("the error %q has none of the two reasons, or both", err)
	}
}

// understood is what encoding/json makes of a payload, without any haste.
func understood(payload []byte) (m order.Message, reason error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil || fields == nil {
		return m, order.ErrMalformed
	}
	for name, into := range map[string]any{
		"order_id": &m.OrderID, "product_id": &m.ProductID, "quantity": &m.Quantity, "correlation_id": &m.CorrelationID,
	} {
		if raw, ok := fields[name]; ok && json.Unmarshal(raw, into) != nil {
			reason = order.ErrMalformed
		}
	}
	var timestamp string
	_ = json.Unmarshal(fields["timestamp"], &timestamp)
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, timestamp); err == nil {
			m.Queued = t.UTC()
		}
	}
	_ = json.Unmarshal(fields["traceparent"], &m.Traceparent)
	if m.Traceparent = understoodTrace(m.Traceparent); m.Traceparent != "" {
		_ = json.Unmarshal(fields["tracestate"], &m.Tracestate)
		m.Tracestate = tracestate.FindString(m.Tracestate)
	}
	if reason == nil && (m.OrderID < 1 || m.ProductID < 1 || m.Quantity < 1) {
		reason = order.ErrInvalid
	}
	return m, reason
}

var (
	traceparent = regexp.MustCompile(`(?s)^(..-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2})(-.*)?$`)
	version     = regexp.MustCompile(`^([0-9a-e][0-9a-f]|f[0-9a-e])-`)
	tracestate  = regexp.MustCompile(`^[ -~]{0,512}$`)
)

func understoodTrace(s string) string {
	found := traceparent.FindStringSubmatch(s)
	if found == nil || !version.MatchString(s) || strings.HasPrefix(s, "00-") && found[4] != "" ||
		strings.Trim(found[2], "0") == "" || strings.Trim(found[3], "0") == "" {
		return ""
	}
	return found[1]
}

// encode is the message as the Order API writes it.
func encode(m order.Message) []byte {
	fields := map[string]any{
		"order_id": m.OrderID, "product_id": m.ProductID, "quantity": m.Quantity, "correlation_id": m.CorrelationID,
	}
	if !m.Queued.IsZero() {
		fields["timestamp"] = m.Queued.Format(time.RFC3339Nano)
	}
	if m.Traceparent != "" {
		fields["traceparent"], fields["tracestate"] = m.Traceparent, m.Tracestate
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings and numbers
	}
	return payload
}

// Thousands of payloads that are nearly messages, each the same at every run.
func TestDecode_survivesWhatIsNearlyAMessage(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		"", " ", "\n", "\x00", "\xff", "\ufeff", "{", "}", "[", "]", `"`, `\`, ",", ":", "-", ".", "e9", "0", "1", "9223372036854775808", "1e400",
		"null", "true", "NaN", `"order_id"`, `"order_id": 0,`, `"\ud800"`, `"\u0000"`, nested(100), strings.Repeat("9", 400),
	}
	for range 5000 {
		text := valid(`, "correlation_id": "c", "timestamp": "2026-01-31T12:00:00.123456", "traceparent": "` + parent + `", "tracestate": "a=1", "more": [1, {"a": null}]`)
		for range 1 + random.IntN(4) { // some of it gives way to something else
			from := random.IntN(len(text) + 1)
			to := min(len(text), from+random.IntN(4))
			text = text[:from] + pieces[random.IntN(len(pieces))] + text[to:]
		}
		check(t, []byte(text))
	}
}

// What a payload costs grows with its length and with nothing else. (Not parallel: others
// would be counted, too.)
func TestDecode_takesLittleMemory(t *testing.T) {
	const most = 40 // times the length; a map of tiny fields takes more than half of that
	many := new(strings.Builder)
	for i := range 5000 {
		fmt.Fprintf(many, `"%d":0,`, i)
	}
	for name, payload := range map[string]string{
		"depth":             nested(100000),
		"depth of objects":  strings.Repeat(`{"a":`, 20000),
		"depth in a field":  valid(`, "x": ` + nested(9000)),
		"many fields":       "{" + many.String() + `"order_id": 1}`,
		"one field often":   "{" + strings.Repeat(`"order_id": 1, `, 5000) + `"quantity": 1}`,
		"a long string":     valid(`, "correlation_id": "` + strings.Repeat("x", 64<<10) + `"`),
		"many escapes":      valid(`, "correlation_id": "` + strings.Repeat(`\u00e9`, 10000) + `"`),
		"a long number":     `{"order_id": ` + strings.Repeat("9", 64<<10) + `}`,
		"blanks":            strings.Repeat(" ", 64<<10),
		"broken characters": strings.Repeat("\xff", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = order.Decode([]byte(payload))
			runtime.ReadMemStats(&after)
			if took := int(after.TotalAlloc - before.TotalAlloc); took > most*len(payload) {
				t.Errorf("%d bytes took %d bytes of memory, %d times as much, want %d times at most", len(payload), took, took/len(payload), most)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"order_id":`, valid(""), valid(`, "timestamp": "2026-01-31T12:00:00.123456"`),
		valid(`, "correlation_id": "a\u0000\ud800"`), valid("") + valid(""), valid(`, "x": ` + nested(100)),
		`{"order_id": 1e400, "product_id": -0, "quantity": 9223372036854775808}`,
		strings.Repeat("[", 100000), "\ufeff" + valid(""), "\x00", " ", valid("") + "x", `{"order_id": 17.5}`, `{"order_id": 1e2}`,
		`{"timestamp": "2026-01-31 2:00:00,5"}`, `{"timestamp":"2026-01-31T12:00:00\u002b01:00","correlation_id":"a<b>"}`,
		`{"order_id":-0,"product_id":-01,"quantity":1}`, `{"order_id":1,"product_id":2,"quantity":3,}`, ` { "order_id" : 1 , "order_id" : "1" } `,
		`{"ORDER_ID": 1, "order_id": null}`, `{"traceparent": "` + parent + `", "tracestate": "a=1"}`,
		`{"tracestate": "<a>", "traceparent": "01` + parent[2:] + `-x"}`, "{\"order_id\": 1, \"\xff\": 2}", `{"timestamp": 5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) { check(t, payload) })
}

func TestMessage_Encode(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	m := order.Message{OrderID: 17, ProductID: 3, Quantity: 2, CorrelationID: "0b6c", Queued: noon.In(time.FixedZone("", 3600))}
	want := `{"order_id": 17, "product_id": 3, "quantity": 2, "correlation_id": "0b6c", "timestamp": "2026-01-31T12:00:00.123456"}`
	if got := m.Encode(); got != want {
		t.Errorf("the payload is %s, want %s", got, want)
	}
	m.Queued = noon
	m.CorrelationID = "a\"\\\x00\u2028\n<&>"
	if got, err := order.Decode([]byte(m.Encode())); got != m || err != nil {
		t.Errorf("it is read as %+v, %v, want %+v", got, err, m)
	}
}

func TestNewCorrelationID(t *testing.T) {
	t.Parallel()
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	a, b := order.NewCorrelationID(), order.NewCorrelationID()
	if !uuid.MatchString(a) || a == b {
		t.Errorf("%s and %s are no two random UUIDs", a, b)
	}
}
