// Package logger writes structured JSON logs: one object a line, in the format
// that every service around this one shares.
//
// # What callers may rely on
//
//   - Each record is one line, with the keys timestamp, level, service, message and
//     correlation_id first, in that order, and each once. A write is of whole lines.
//   - A warning or an error is out when it was logged, and with it all before it. Any
//     other line is out then, too, or within a millisecond where a write is under way, as
//     is that of [Info]. [Flush] writes all.
//   - The correlation id and the order id come from the context, and so do the ids of a
//     trace, where there is one.
//   - An attribute that JSON cannot hold is written as text; a line is never
//     dropped for its content.
//
// # What this package never does
//
//   - It waits for no number of lines before it writes, and for no time but that
//     millisecond.
//   - It reads no attribute of With again: what a logger was given is written
//     as it was then.
package logger

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
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
	l := newLine()
	defer l.free()
	l.begin(&e)
	for _, f := range e.Fields {
		l.key(f.Key)
		l.json = appendAny(l.json, f.Value)
	}
	l.json = append(l.json, '}')
	return slices.Clone(l.json), nil
}

// New returns a logger that writes for one service to w the records of at least
// that level. It is safe for concurrent use.
func New(w io.Writer, service string, level slog.Leveler) *slog.Logger {
	return slog.New(&handler{out: newOutput(w), service: service, level: level})
}

// handler is a slog.Handler that makes a LogEntry of each record.
type handler struct {
	out     *output
	service string
	level   slog.Leveler
	prefix  string    // the open groups, each with a dot behind it
	given   []encoded // from WithAttrs
}

// encoded is a key and its value's JSON. Which prefix the key gets depends on
// the keys before it, and so on the record.
type encoded struct {
	key  string
	json []byte
}

// Enabled reports whether a record of that level is written.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle writes the record.
func (h *handler) Handle(ctx context.Context, r slog.Record) (err error) {
	h.encode(ctx, r, func(line []byte) { err = h.out.write(line, r.Level >= slog.LevelWarn) })
	return err
}

// encode makes a line of the record, which is worth nothing once use returns.
func (h *handler) encode(ctx context.Context, r slog.Record, use func(line []byte)) {
	about := orderOf(ctx)
	l := newLine()
	defer l.free()
	l.begin(&LogEntry{
		Timestamp:     r.Time,
		Level:         word(r.Level),
		Service:       h.service,
		Message:       r.Message,
		CorrelationID: about.correlationID,
	})
	if about.orderID != 0 {
		l.key("order_id")
		l.json = strconv.AppendInt(l.json, about.orderID, 10)
	}
	for _, e := range h.given {
		l.key(e.key)
		l.json = append(l.json, e.json...)
	}
	r.Attrs(func(a slog.Attr) bool {
		flatten(h.prefix, a, func(key string, value slog.Value) {
			l.key(key)
			l.json = appendValue(l.json, value)
		})
		return true
	})
	if t := about.trace; t != nil {
		l.key("trace_id")
		l.json = appendText(l.json, t.id)
		l.key("span_id")
		l.json = appendText(l.json, t.span)
	}
	l.json = append(l.json, "}\n"...)
	use(l.json)
}

// WithAttrs returns a handler that adds the attributes to every record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.given = slices.Clone(h.given)
	for _, a := range attrs {
		flatten(h.prefix, a, func(key string, value slog.Value) {
			more.given = append(more.given, encoded{key, appendValue(nil, value)})
		})
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

// word is the level in lower case.
func word(level slog.Level) string {
	switch level {
	case slog.LevelDebug:
		return "debug"
	case slog.LevelInfo:
		return "info"
	case slog.LevelWarn:
		return "warn"
	case slog.LevelError:
		return "error"
	}
	return strings.ToLower(level.String()) // one between these
}

// flatten puts the attribute; a group becomes fields with dotted keys.
func flatten(prefix string, a slog.Attr, put func(key string, value slog.Value)) {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if !a.Equal(slog.Attr{}) {
			put(prefix+a.Key, value)
		}
		return
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range value.Group() {
		flatten(prefix, inner, put)
	}
}

// Info is [slog.Logger.InfoContext] for what is said of each order: it does not look for
// who has called it, which no line says and would take longer than the line, and leaves
// the write to who writes next, or for a millisecond to nobody, so that lines of an order, and
// of many, share one.
func Info(ctx context.Context, log *slog.Logger, message string, attrs ...slog.Attr) {
	if !log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelInfo, message, 0)
	r.AddAttrs(attrs...)
	if h, ok := log.Handler().(*handler); ok {
		h.encode(ctx, r, h.out.leave)
		return
	}
	_ = log.Handler().Handle(ctx, r) // as slog.Logger does
}

type orderKey struct{}

// orderContext says itself whose it is: one allocation, where WithValue makes two.
type orderContext struct {
	context.Context
	orderID       int64
	correlationID string
	trace         *trace // nil: none
}

// trace are the ids of a trace and of a span in it.
type trace struct{ id, span string }

// Value returns the context itself for an orderKey.
func (c *orderContext) Value(key any) any {
	if key == (orderKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// WithOrder returns a context whose log lines carry the order's ids.
func WithOrder(ctx context.Context, orderID int64, correlationID string) context.Context {
	return &orderContext{ctx, orderID, correlationID, nil}
}

// WithTrace returns a context whose log lines carry the ids of a trace, too, and of a span
// in it, behind everything else.
func WithTrace(ctx context.Context, traceID, spanID string) context.Context {
	about := orderOf(ctx)
	return &orderContext{ctx, about.orderID, about.correlationID, &trace{traceID, spanID}}
}

// nobody's ids stand in lines about no order.
var nobody orderContext

func orderOf(ctx context.Context) *orderContext {
	if c, ok := ctx.Value(orderKey{}).(*orderContext); ok {
		return c
	}
	return &nobody
}
