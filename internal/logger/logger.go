// Package logger writes structured JSON logs: one object a line, in the format
// that every service around this one shares.
//
// # What callers may rely on
//
//   - Each record is one line and one write, with the keys timestamp, level,
//     service, message and correlation_id first, in that order, and each once.
//   - The correlation id and the order id come from the context.
//   - An attribute that JSON cannot hold is written as text; a line is never
//     dropped for its content.
//
// # What this package never does
//
//   - It keeps no buffer: what was logged is out.
package logger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// LogEntry is one line of the log.
type LogEntry struct {
	Timestamp     time.Time
	Level         string
	Service       string
	Message       string
	CorrelationID string
	Fields        []Field // follow in this order, flattened into the object
}

// Field is one more key of a [LogEntry]. A key that the entry has already gets
// the prefix "field_".
type Field struct {
	Key   string
	Value any
}

// MarshalJSON writes the entry as one flat object, its keys in a fixed order.
func (e LogEntry) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	seen := make(map[string]bool, 5+len(e.Fields))
	put := func(key string, value any) {
		for seen[key] {
			key = "field_" + key
		}
		seen[key] = true
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(text(key))
		b.WriteByte(':')
		b.Write(encode(value))
	}
	put("timestamp", e.Timestamp.UTC().Format("2006-01-02T15:04:05.000000Z"))
	put("level", e.Level)
	put("service", e.Service)
	put("message", e.Message)
	put("correlation_id", e.CorrelationID)
	for _, f := range e.Fields {
		put(f.Key, f.Value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encode(value any) (out []byte) {
	defer func() {
		if p := recover(); p != nil { // a method of the value's
			out = text(fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	switch v := value.(type) {
	case error:
		return text(v.Error())
	case time.Duration:
		return text(v.String())
	}
	out, err := json.Marshal(value)
	if err != nil {
		return text(fmt.Sprint(value))
	}
	return out
}

// text is s as a JSON string. A string always marshals.
func text(s string) []byte {
	out, _ := json.Marshal(s)
	return out
}

// New returns a logger that writes for one service to w the records of at least
// that level. It is safe for concurrent use.
func New(w io.Writer, service string, level slog.Leveler) *slog.Logger {
	return slog.New(&handler{out: &output{w: w}, service: service, level: level})
}

type output struct {
	mu sync.Mutex
	w  io.Writer
}

// handler is a slog.Handler that makes a LogEntry of each record.
type handler struct {
	out     *output
	service string
	level   slog.Leveler
	prefix  string  // the open groups, each with a dot behind it
	fields  []Field // from WithAttrs
}

// Enabled reports whether a record of that level is written.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle writes the record.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	about := subjectOf(ctx)
	entry := LogEntry{
		Timestamp:     r.Time,
		Level:         strings.ToLower(r.Level.String()),
		Service:       h.service,
		Message:       r.Message,
		CorrelationID: about.correlationID,
		Fields:        make([]Field, 0, 1+len(h.fields)+r.NumAttrs()),
	}
	if about.orderID != 0 {
		entry.Fields = append(entry.Fields, Field{"order_id", about.orderID})
	}
	entry.Fields = append(entry.Fields, h.fields...)
	r.Attrs(func(a slog.Attr) bool {
		entry.Fields = flatten(entry.Fields, h.prefix, a)
		return true
	})
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err = h.out.w.Write(append(line, '\n'))
	return err
}

// WithAttrs returns a handler that adds the attributes to every record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.fields = append([]Field(nil), h.fields...)
	for _, a := range attrs {
		more.fields = flatten(more.fields, h.prefix, a)
	}
	return &more
}

// WithGroup returns a handler that puts "name." before the keys that follow.
func (h *handler) WithGroup(name string) slog.Handler {
	more := *h
	if name != "" {
		more.prefix += name + "."
	}
	return &more
}

// flatten appends the attribute; a group becomes fields with dotted keys.
func flatten(fields []Field, prefix string, a slog.Attr) []Field {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if a.Equal(slog.Attr{}) {
			return fields
		}
		return append(fields, Field{prefix + a.Key, value.Any()})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range value.Group() {
		fields = flatten(fields, prefix, inner)
	}
	return fields
}

type subjectKey struct{}

type subject struct {
	orderID       int64
	correlationID string
}

// WithOrder returns a context whose log lines carry the order's ids.
func WithOrder(ctx context.Context, orderID int64, correlationID string) context.Context {
	return context.WithValue(ctx, subjectKey{}, subject{orderID, correlationID})
}

func subjectOf(ctx context.Context) subject {
	s, _ := ctx.Value(subjectKey{}).(subject)
	return s
}
