package logger

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// line is an entry on its way into JSON.
type line struct {
	json []byte
	keys []string // those that json has

	second int64  // of the last line that was made here, since 1970,
	time   []byte // and how it begins
}

var lines = sync.Pool{New: func() any { return &line{json: make([]byte, 0, 512), keys: make([]string, 0, 16)} }}

func newLine() *line { return lines.Get().(*line) }

// free gives the line to the next who needs one. One that grew out of the
// ordinary is left to the collector, or the pool would keep its size for ever.
func (l *line) free() {
	if cap(l.json) > 16<<10 || cap(l.keys) > 256 {
		return
	}
	clear(l.keys)
	l.json, l.keys = l.json[:0], l.keys[:0]
	lines.Put(l)
}

// begin writes all of the entry but its fields.
func (l *line) begin(e *LogEntry) {
	l.keys = append(l.keys, "timestamp", "level", "service", "message", "correlation_id")
	l.json = l.appendTime(append(l.json, `{"timestamp":"`...), e.Timestamp)
	l.json = appendText(append(l.json, `","level":`...), e.Level)
	l.json = appendText(append(l.json, `,"service":`...), e.Service)
	l.json = appendText(append(l.json, `,"message":`...), e.Message)
	l.json = appendText(append(l.json, `,"correlation_id":`...), e.CorrelationID)
}

// key writes a key that the line does not have yet. A line has few: to compare
// them all is quicker than a map.
func (l *line) key(key string) {
	for slices.Contains(l.keys, key) {
		key = "field_" + key
	}
	l.keys = append(l.keys, key)
	l.json = appendText(append(l.json, ','), key)
	l.json = append(l.json, ':')
}

// appendValue appends what most attributes are without a detour through an any.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendText(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return appendText(b, v.Duration().String())
	default:
		return appendAny(b, v.Any())
	}
}

// appendAny appends any value at all: as text what JSON cannot hold.
func appendAny(b []byte, value any) (out []byte) {
	defer func() {
		if p := recover(); p != nil { // a method of the value's
			out = appendText(b, fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	switch v := value.(type) {
	case error:
		return appendText(b, v.Error())
	case time.Duration:
		return appendText(b, v.String())
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return appendText(b, fmt.Sprint(value))
	}
	return append(b, encoded...)
}

// appendText appends s as a JSON string, as encoding/json spells it.
func appendText(b []byte, s string) []byte {
	if !plain(s) {
		encoded, _ := json.Marshal(s) // a string always marshals
		return append(b, encoded...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain reports whether encoding/json writes s as it is.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if !plainBytes[c] {
			return false
		}
	}
	return true
}

// plainBytes leaves out what HTML would take for its own, for encoding/json
// escapes that, too, and whatever is not ASCII, for it may be no UTF-8.
var plainBytes = func() (plain [256]bool) {
	for c := ' '; c <= '~'; c++ {
		plain[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return plain
}()

// appendTime appends a time in UTC with its microseconds. Most lines are of the same second
// as the one before. Package time is quick with RFC 3339 alone: any other layout it reads
// anew each time.
func (l *line) appendTime(b []byte, t time.Time) []byte {
	if second := t.Unix(); second != l.second || len(l.time) == 0 {
		l.second = second
		l.time = t.UTC().AppendFormat(l.time[:0], time.RFC3339)
		l.time = l.time[:len(l.time)-1] // without the Z
	}
	b = append(b, l.time...)
	point := len(b) // the place of the leading 1 below
	b = strconv.AppendInt(b, int64(1_000_000+t.Nanosecond()/1000), 10)
	b[point] = '.'
	return append(b, 'Z')
}
