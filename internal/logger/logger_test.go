package logger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/logger"
)

// logged is what log calls leave, without the time.
func logged(t *testing.T, level slog.Level, log func(*slog.Logger)) string {
	t.Helper()
	var out bytes.Buffer
	log(logger.New(&out, "shop", level))
	for line := range strings.Lines(out.String()) {
		if !strings.HasSuffix(line, "\n") || !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %q", line)
		}
	}
	return timestamp.ReplaceAllString(out.String(), `{`)
}

var timestamp = regexp.MustCompile(`(?m)^{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",`)

// head is how a line begins that logged returns.
func head(level, message, correlationID string) string {
	return fmt.Sprintf(`{"level":%q,"service":"shop","message":%q,"correlation_id":%q`, level, message, correlationID)
}

func ExampleNew() {
	log := logger.New(exampleOutput{}, "fulfillment-worker", slog.LevelInfo)
	ctx := logger.WithOrder(context.Background(), 17, "0b6c")
	log.InfoContext(ctx, "Order 17 fulfilled", "processing_duration_ms", 812)
	// Output:
	// {"timestamp":"…","level":"info","service":"fulfillment-worker","message":"Order 17 fulfilled","correlation_id":"0b6c","order_id":17,"processing_duration_ms":812}
}

// exampleOutput prints each line with its time left out.
type exampleOutput struct{}

func (exampleOutput) Write(line []byte) (int, error) {
	fmt.Print(timestamp.ReplaceAllString(string(line), `{"timestamp":"…",`))
	return len(line), nil
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

type silent struct{}

func (silent) MarshalJSON() ([]byte, error) { return nil, errors.New("says nothing") }

func (silent) String() string { return "silent" }

type wild struct{}

func (wild) MarshalJSON() ([]byte, error) { panic("wild") }

type wildError struct{ text string }

func (e *wildError) Error() string { return e.text }

func TestLogger_writes(t *testing.T) {
	t.Parallel()
	order := logger.WithOrder(context.Background(), 17, "c-1")
	noon := time.Date(2026, 1, 31, 12, 0, 0, 5, time.FixedZone("", 3600))
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want string // behind the head
	}{
		{"a message alone", func(l *slog.Logger) { l.Info("m") }, ``},
		{"fields in the order of the call", func(l *slog.Logger) { l.Info("m", "z", 1, "a", "x", "b", true) }, `,"z":1,"a":"x","b":true`},
		{"fields of With first", func(l *slog.Logger) { l.With("a", 1).With("b", 2).Info("m", "c", 3) }, `,"a":1,"b":2,"c":3`},
		{"a group flattened", func(l *slog.Logger) { l.Info("m", slog.Group("g", "a", 1, slog.Group("h", "b", 2)), "c", 3) }, `,"g.a":1,"g.h.b":2,"c":3`},
		{"a group without a name", func(l *slog.Logger) { l.Info("m", slog.Group("", "a", 1)) }, `,"a":1`},
		{"an empty group is nothing", func(l *slog.Logger) { l.Info("m", slog.Group("g")) }, ``},
		{"an empty attribute is nothing", func(l *slog.Logger) { l.LogAttrs(context.Background(), slog.LevelInfo, "m", slog.Attr{}) }, ``},
		{"WithGroup before the keys that follow", func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("m", "c", 3) }, `,"a":1,"g.b":2,"g.h.c":3`},
		{"WithGroup without a name", func(l *slog.Logger) { l.WithGroup("").Info("m", "a", 1) }, `,"a":1`},
		{"WithGroup and nothing in it", func(l *slog.Logger) { l.WithGroup("g").Info("m") }, ``},
		{"a value that makes itself when asked", func(l *slog.Logger) { l.Info("m", "v", valuer{slog.StringValue("made")}) }, `,"v":"made"`},
		{"one that makes itself a group", func(l *slog.Logger) { l.With("v", valuer{slog.GroupValue(slog.Int("a", 1))}).Info("m") }, `,"v.a":1`},
		{"a key without a value", func(l *slog.Logger) { l.Info("m", []any{"k"}...) }, `,"!BADKEY":"k"`},

		{"a duration as people read it", func(l *slog.Logger) { l.Info("m", "d", 1500*time.Millisecond) }, `,"d":"1.5s"`},
		{"an error as its text", func(l *slog.Logger) { l.Info("m", "error", fmt.Errorf("a: %w", io.EOF)) }, `,"error":"a: EOF"`},
		{"errors joined, still on one line", func(l *slog.Logger) { l.Info("m", "error", errors.Join(io.EOF, io.EOF)) }, `,"error":"EOF\nEOF"`},
		{"no error", func(l *slog.Logger) { l.Info("m", "error", error(nil)) }, `,"error":null`},
		{"a time with its zone", func(l *slog.Logger) { l.Info("m", "t", noon) }, `,"t":"2026-01-31T12:00:00.000000005+01:00"`},
		{"bytes as encoding/json has them", func(l *slog.Logger) { l.Info("m", "b", []byte("abc")) }, `,"b":"YWJj"`},
		{"lists and maps", func(l *slog.Logger) { l.Info("m", "l", []int{1, 2}, "o", map[string]int{"b": 2, "a": 1}) }, `,"l":[1,2],"o":{"a":1,"b":2}`},
		{"JSON as it is, on one line", func(l *slog.Logger) { l.Info("m", "j", json.RawMessage("{\n\"a\": 1}")) }, `,"j":{"a":1}`},
		{"numbers without loss", func(l *slog.Logger) { l.Info("m", "i", int64(math.MinInt64), "u", uint64(math.MaxUint64)) }, `,"i":-9223372036854775808,"u":18446744073709551615`},

		{"not a number", func(l *slog.Logger) { l.Info("m", "n", math.NaN(), "i", math.Inf(-1)) }, `,"n":"NaN","i":"-Inf"`},
		{"a value whose JSON fails", func(l *slog.Logger) { l.Info("m", "v", silent{}, "next", 1) }, `,"v":"silent","next":1`},
		{"no JSON at all in a raw message", func(l *slog.Logger) { l.Info("m", "j", json.RawMessage("{"), "next", 1) }, `,"j":"[123]","next":1`},
		{"a time that JSON has no year for", func(l *slog.Logger) { l.Info("m", "t", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) }, `,"t":"10000-01-01 00:00:00 +0000 UTC"`},

		{"a key that the line has already", func(l *slog.Logger) {
			l.Info("m", "level", 1, "message", 2, "timestamp", 3, "service", 4, "correlation_id", 5)
		}, `,"field_level":1,"field_message":2,"field_timestamp":3,"field_service":4,"field_correlation_id":5`},
		{"a key twice, and its substitute too", func(l *slog.Logger) { l.Info("m", "a", 1, "a", 2, "field_a", 3, "a", 4) }, `,"a":1,"field_a":2,"field_field_a":3,"field_field_field_a":4`},
		{"a key of With again", func(l *slog.Logger) { l.With("a", 1).Info("m", "a", 2) }, `,"a":1,"field_a":2`},
		{"a key in a group meets nothing", func(l *slog.Logger) { l.WithGroup("g").Info("m", "level", 1) }, `,"g.level":1`},
		{"an empty key", func(l *slog.Logger) { l.Info("m", "", 1) }, `,"":1`},

		{"HTML as encoding/json has it", func(l *slog.Logger) { l.Info("m", "<b>", "a&b") }, `,"\u003cb\u003e":"a\u0026b"`},
		{"no UTF-8", func(l *slog.Logger) { l.Info("m", "k\xff", "v\xff") }, `,"k\ufffd":"v\ufffd"`},
		{"control characters", func(l *slog.Logger) { l.Info("m", "k", "a\x00\n\u2028\x1b[31m") }, `,"k":"a\u0000\n\u2028\u001b[31m"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := head("info", "m", "") + tt.want + "}\n"
			if got := logged(t, slog.LevelInfo, tt.log); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		})
	}

	t.Run("the ids of a trace, last", func(t *testing.T) {
		t.Parallel()
		got := logged(t, slog.LevelInfo, func(l *slog.Logger) {
			l.With("a", 1).InfoContext(logger.WithTrace(order, "t-1", "s-1"), "m", "b", 2)
			l.InfoContext(logger.WithTrace(context.Background(), "t-2", "s-2"), "m", "span_id", 3)
		})
		want := head("info", "m", "c-1") + `,"order_id":17,"a":1,"b":2,"trace_id":"t-1","span_id":"s-1"}` + "\n" +
			head("info", "m", "") + `,"span_id":3,"trace_id":"t-2","field_span_id":"s-2"}` + "\n"
		if got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})

	t.Run("the ids of the context", func(t *testing.T) {
		t.Parallel()
		got := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.With("a", 1).WarnContext(order, "m", "b", 2) })
		if want := head("warn", "m", "c-1") + `,"order_id":17,"a":1,"b":2}` + "\n"; got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
	t.Run("ids given besides those of the context", func(t *testing.T) {
		t.Parallel()
		got := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.InfoContext(order, "m", "order_id", 18, "correlation_id", "x") })
		if want := head("info", "m", "c-1") + `,"order_id":17,"field_order_id":18,"field_correlation_id":"x"}` + "\n"; got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
	t.Run("an order whose id is unknown", func(t *testing.T) {
		t.Parallel()
		ctx := logger.WithOrder(context.Background(), 0, "c-2")
		if got, want := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.InfoContext(ctx, "m") }), head("info", "m", "c-2")+"}\n"; got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
	t.Run("ids stay in front of an open group", func(t *testing.T) {
		t.Parallel()
		got := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.WithGroup("g").InfoContext(order, "m", "a", 1) })
		if want := head("info", "m", "c-1") + `,"order_id":17,"g.a":1}` + "\n"; got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	})
}

// A value that JSON cannot hold is written as text, whatever text that is.
func TestLogger_dropsNoLine(t *testing.T) {
	t.Parallel()
	cyclic := &struct{ Self any }{}
	cyclic.Self = cyclic
	var none *wildError
	tests := []struct {
		name  string
		value any
	}{
		{"a channel", make(chan int)},
		{"a function", func() {}},
		{"a complex number", complex(1, 2)},
		{"a map with keys that are no text", map[struct{}]int{{}: 1}},
		{"a value that holds itself", cyclic},
		{"an error that is a nil pointer", error(none)},
		{"a value whose JSON panics", wild{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("the log call panicked: %v", p)
				}
			}()
			got := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.Info("m", "v", tt.value, "next", 1) })
			if !strings.HasPrefix(got, head("info", "m", "")+`,"v":`) || !strings.HasSuffix(got, `,"next":1}`+"\n") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestLogger_timestampIsUTC(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logger.New(&out, "shop", slog.LevelInfo)
	at := time.Date(2026, 1, 31, 1, 0, 0, 123456789, time.FixedZone("", 2*3600))
	if err := log.Handler().Handle(context.Background(), slog.NewRecord(at, slog.LevelInfo, "m", 0)); err != nil {
		t.Fatal(err)
	}
	if want := `{"timestamp":"2026-01-30T23:00:00.123456Z",`; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %s, want it to begin with %s", out.String(), want)
	}
}

func TestLogger_writesMicroseconds(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		{},
		time.Date(2026, 1, 31, 12, 0, 0, 999, time.UTC),
		time.Date(2026, 1, 31, 12, 0, 0, 1000, time.UTC),
		time.Date(2026, 1, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(12026, 1, 31, 12, 0, 0, 0, time.UTC),
	} {
		var out bytes.Buffer
		h := logger.New(&out, "shop", slog.LevelInfo).Handler()
		if err := h.Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "m", 0)); err != nil {
			t.Fatal(err)
		}
		if want := at.Format(`{"timestamp":"2006-01-02T15:04:05.000000Z",`); !strings.HasPrefix(out.String(), want) {
			t.Errorf("got %s, want it to begin with %s", out.String(), want)
		}
	}
}

// Other readers know how encoding/json escapes; the logger may do no more and no less.
func TestLogger_escapesAsEncodingJSON(t *testing.T) {
	t.Parallel()
	texts := []string{"", "\xe2\x80", "a\u2028\u2029", "\U0001f69a", "\ufffd"}
	for c := range 256 {
		texts = append(texts, "a"+string([]byte{byte(c)})+"b", "a"+string(rune(c))+"b")
	}
	for _, text := range texts {
		escaped, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"level":"info","service":"shop","message":%s,"correlation_id":%[1]s,"k%s:%[1]s}`, escaped, escaped[1:]) + "\n"
		got := logged(t, slog.LevelInfo, func(l *slog.Logger) {
			l.InfoContext(logger.WithOrder(t.Context(), 0, text), text, "k"+text, text)
		})
		if got != want {
			t.Errorf("%q:\ngot  %swant %s", text, got, want)
		}
	}
}

func TestLogger_levels(t *testing.T) {
	t.Parallel()
	all := func(l *slog.Logger) { l.Debug("m"); l.Info("m"); l.Warn("m"); l.Error("m") }
	words := []string{"debug", "info", "warn", "error"}
	for i, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		want := ""
		for _, word := range words[i:] {
			want += head(word, "m", "") + "}\n"
		}
		if got := logged(t, level, all); got != want {
			t.Errorf("at level %s:\ngot:\n%swant:\n%s", words[i], got, want)
		}
	}
}

func TestLogger_levelMayChange(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var level slog.LevelVar
	log := logger.New(&out, "shop", &level).With("a", 1)
	log.Debug("quiet")
	level.Set(slog.LevelDebug)
	log.Debug("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "loud") {
		t.Errorf("got %s", got)
	}
}

// writes keeps what each Write was given.
type writes struct{ all []string }

func (w *writes) Write(p []byte) (int, error) {
	w.all = append(w.all, string(p)) // the race detector sees two at once
	return len(p), nil
}

func TestLogger_writesEachLineOnce(t *testing.T) {
	t.Parallel()
	const loggers, lines = 8, 100
	var out writes
	log := logger.New(&out, "shop", slog.LevelInfo)
	var all sync.WaitGroup
	for n := range loggers {
		own := log.With("logger", n) // they share one output
		all.Go(func() {
			ctx := logger.WithOrder(context.Background(), int64(n+1), "c")
			for i := range lines {
				own.InfoContext(ctx, "m", "line", i)
			}
		})
	}
	all.Wait()
	logger.Flush(log)

	next, sum := map[int]int{}, 0
	for line := range strings.Lines(strings.Join(out.all, "")) {
		sum++
		var got struct {
			Logger, Line int
			OrderID      int `json:"order_id"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("one line is %q: %v", line, err)
		}
		if got.Line != next[got.Logger] || got.OrderID != got.Logger+1 {
			t.Fatalf("%s: want line %d of this logger", line, next[got.Logger])
		}
		next[got.Logger]++
	}
	for _, write := range out.all {
		if !strings.HasSuffix(write, "\n") {
			t.Errorf("a write ends with %q, want a whole line", write[max(0, len(write)-20):])
		}
	}
	if sum != loggers*lines {
		t.Errorf("%d lines, want %d", sum, loggers*lines)
	}
}

func TestLogger_withDoesNotChangeItsParent(t *testing.T) {
	t.Parallel()
	got := logged(t, slog.LevelInfo, func(l *slog.Logger) {
		parent := l.With("a", 1)
		x, y := parent.With("x", 1), parent.With("y", 1)
		x.Info("m")
		y.Info("m")
		parent.Info("m")
	})
	want := head("info", "m", "") + `,"a":1,"x":1}` + "\n" + head("info", "m", "") + `,"a":1,"y":1}` + "\n" + head("info", "m", "") + `,"a":1}` + "\n"
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestLogger_withDoesNotChangeItsSiblings(t *testing.T) {
	t.Parallel()
	got := logged(t, slog.LevelInfo, func(l *slog.Logger) {
		for i := range 8 { // whatever room a slice of so many has left
			l = l.With(fmt.Sprint("a", i), i)
			x := l.With("x", 1)
			_ = l.With("y", 1)
			x.Info("m")
		}
	})
	if n := strings.Count(got, `,"x":1}`); n != 8 {
		t.Errorf("%d lines have what their logger was given, want 8:\n%s", n, got)
	}
}

// Which keys a line has already depends on its context, and With does not know it.
func TestLogger_withMeetsTheIDsOfTheContext(t *testing.T) {
	t.Parallel()
	got := logged(t, slog.LevelInfo, func(l *slog.Logger) {
		own := l.With("order_id", 1, "field_order_id", 2)
		own.Info("m")
		own.InfoContext(logger.WithOrder(t.Context(), 17, "c"), "m")
		own.Info("m", "order_id", 3)
	})
	want := head("info", "m", "") + `,"order_id":1,"field_order_id":2}` + "\n" +
		head("info", "m", "c") + `,"order_id":17,"field_order_id":1,"field_field_order_id":2}` + "\n" +
		head("info", "m", "") + `,"order_id":1,"field_order_id":2,"field_field_order_id":3}` + "\n"
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// A context between is as good as the order's own, and a new order hides the old.
func TestWithOrder_isInherited(t *testing.T) {
	t.Parallel()
	outer, cancel := context.WithCancel(logger.WithOrder(t.Context(), 17, "c"))
	inner := logger.WithOrder(outer, 18, "d")
	got := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.InfoContext(outer, "m"); l.InfoContext(inner, "m") })
	want := head("info", "m", "c") + `,"order_id":17}` + "\n" + head("info", "m", "d") + `,"order_id":18}` + "\n"
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if cancel(); inner.Err() == nil {
		t.Error("the end of the outer context does not reach the inner one")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestLogger_reportsAFailedWrite(t *testing.T) {
	t.Parallel()
	h := logger.New(broken{}, "shop", slog.LevelInfo).Handler()
	err := h.Handle(context.Background(), slog.NewRecord(time.Now(), slog.LevelInfo, "m", 0))
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Handle: %v, want %v", err, io.ErrClosedPipe)
	}
}

func TestLogEntry_isAnObjectByItself(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(logger.LogEntry{
		Timestamp: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Level: "info", Service: "s", Message: "m",
		Fields: []logger.Field{{Key: "a", Value: time.Second}},
	})
	want := `{"timestamp":"2026-01-31T12:00:00.000000Z","level":"info","service":"s","message":"m","correlation_id":"","a":"1s"}`
	if string(got) != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// gate is a writer that waits to be let go on.
type gate struct {
	began, goOn chan struct{}
	out         writes
}

func (g *gate) Write(p []byte) (int, error) {
	g.began <- struct{}{}
	<-g.goOn
	return g.out.Write(p)
}

// Lines that come while a write is under way go out together in the next; Flush and a
// warning wait until they are out.
func TestLogger_gathersWhileItWrites(t *testing.T) {
	for name, wait := range map[string]func(*slog.Logger){
		"Flush":     logger.Flush,
		"a warning": func(log *slog.Logger) { log.Warn("w") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{began: make(chan struct{}), goOn: make(chan struct{})}
				log := logger.New(g, "shop", slog.LevelInfo)
				go log.Info("first")
				<-g.began
				log.Info("second")
				log.Info("third")
				waited := make(chan struct{})
				go func() {
					wait(log)
					close(waited)
				}()
				synctest.Wait()
				g.goOn <- struct{}{}
				<-g.began
				synctest.Wait()
				select {
				case <-waited:
					t.Error("it does not wait for what has gathered")
				default:
				}
				close(g.goOn)
				<-waited
				if n := len(g.out.all); n != 2 || !strings.Contains(g.out.all[1], "third") {
					t.Errorf("%d writes: %q, want 2, the second with all that gathered", n, g.out.all)
				}
			})
		})
	}
}

// What is said of an order is written by somebody else, together with what comes until he
// begins; Flush waits for it, and so does a warning. The line is no other than by Logger.Info.
func TestInfo(t *testing.T) {
	for name, wait := range map[string]func(*slog.Logger){
		"Flush":     logger.Flush,
		"a warning": func(log *slog.Logger) { log.Warn("w") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{began: make(chan struct{}), goOn: make(chan struct{})}
				log := logger.New(g, "shop", slog.LevelInfo).With("instance", "w-1")
				ctx := logger.WithOrder(t.Context(), 17, "c-1")
				logger.Info(ctx, log, "m", slog.Int("n", 1)) // comes back though nothing is written
				waited := make(chan struct{})
				go func() {
					wait(log)
					close(waited)
				}()
				synctest.Wait()
				select {
				case <-waited:
					t.Error("it does not wait for what is on its way")
				default:
				}
				go func() {
					for range g.began {
					}
				}()
				close(g.goOn)
				<-waited
				close(g.began)
				want := logged(t, slog.LevelInfo, func(l *slog.Logger) { l.With("instance", "w-1").InfoContext(ctx, "m", "n", 1) })
				if got := timestamp.ReplaceAllString(strings.Join(g.out.all, ""), `{`); !strings.HasPrefix(got, want) {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
	if got := logged(t, slog.LevelWarn, func(l *slog.Logger) { logger.Info(t.Context(), l, "m") }); got != "" {
		t.Errorf("at level warn it says %s", got)
	}
}

// counted counts what is written to it.
type counted struct{ n atomic.Int64 }

func (c *counted) Write(p []byte) (int, error) {
	c.n.Add(1)
	return len(p), nil
}

// Lines share a write: it begins a millisecond after the first of them, or at once where
// somebody waits for it, and that haste is over then.
func TestInfo_pausesBeforeAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out counted
		log := logger.New(&out, "shop", slog.LevelInfo)
		info := func(n int) { logger.Info(t.Context(), log, strconv.Itoa(n)) }
		expect := func(writes int) {
			t.Helper()
			synctest.Wait()
			if n := int(out.n.Load()); n != writes {
				t.Fatalf("%d writes, want %d", n, writes)
			}
		}
		info(1)
		info(2)
		expect(0)
		<-time.After(time.Millisecond)
		expect(1)
		info(3)
		logger.Flush(log)
		expect(2)
		<-time.After(time.Millisecond)
		expect(2) // there is nothing left to write
		info(4)
		expect(2)
		<-time.After(time.Millisecond)
		expect(3)
	})
}

// A reader that is slow keeps writers waiting rather than filling the memory.
func TestLogger_gathersNoMoreThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{began: make(chan struct{}), goOn: make(chan struct{})}
		log := logger.New(g, "shop", slog.LevelInfo)
		go log.Info("first")
		<-g.began
		logged := 0
		go func() {
			for range 1000 {
				log.Info(strings.Repeat("x", 1000))
				logged++
			}
		}()
		synctest.Wait()
		if logged < 10 || logged > 100 {
			t.Errorf("%d long lines were gathered, want a limit", logged)
		}
		go func() {
			for range g.began {
			}
		}()
		close(g.goOn)
		synctest.Wait()
		if logged != 1000 {
			t.Errorf("%d lines were logged, want 1000", logged)
		}
		close(g.began)
	})
}
