package fulfil

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

var (
	_ Orders   = (*db.Orders)(nil)
	_ Delivery = (*queue.Delivery)(nil)
)

const (
	payload = `{"order_id": 17, "product_id": 3, "quantity": 2, "correlation_id": "0b6c"}`
	timeout = 30 * time.Second
)

var errBroken = errors.New("connection reset")

// script is everything around a Fulfiller: it answers as a test's row says, and notes
// each call in its order.
type script struct {
	Orders            // nobody prepares here
	claims    []error // of each Claim; the last holds for all that follow
	mayTake   bool
	mayErr    error
	startErr  error
	workFor   time.Duration
	workErr   error
	finishErr error

	calls []string
}

func (s *script) note(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *script) Claim(_ context.Context, id int64, version string) (db.Token, error) {
	s.note("claim %d %s", id, cmp.Or(version, "anew"))
	if len(s.claims) == 0 {
		return "token", nil
	}
	err := s.claims[0]
	if len(s.claims) > 1 {
		s.claims = s.claims[1:]
	}
	if err != nil {
		return "", err
	}
	return "token", nil
}

func (s *script) Finish(_ context.Context, id int64, token db.Token) error {
	s.note("finish %d with %s", id, token)
	return s.finishErr
}

func (s *script) Concerns(orderID int64, correlationID string) {
	s.note("concerns %d %s", orderID, correlationID)
}

func (s *script) MayTakeOver(context.Context) (bool, error) {
	s.note("may take over")
	return s.mayTake, s.mayErr
}

func (s *script) Start(_ context.Context, heir bool) error {
	if heir {
		s.note("start as heir")
	} else {
		s.note("start")
	}
	return s.startErr
}

func (s *script) Number() int { return 2 }

func (s *script) Do(ctx context.Context, m order.Message) error {
	s.note("work on %d", m.OrderID)
	select {
	case <-time.After(s.workFor):
		return s.workErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *script) fulfil(ctx context.Context, log *slog.Logger, payload string) error {
	f := &Fulfiller{Orders: s, Work: s, Timeout: timeout, Log: log}
	return f.fulfil(ctx, s, read(s, []byte(payload)))
}

// fulfil is an order's whole way.
func (f *Fulfiller) fulfil(ctx context.Context, d Delivery, r *request) error {
	if err := f.handle(ctx, d, r); err != nil {
		return err
	}
	return f.finish(r)
}

func TestFulfiller_steps(t *testing.T) {
	t.Parallel()
	const (
		concerns, claim, look, takeOver = "concerns 17 0b6c", "claim 17 anew", "may take over", "claim 17 v1"
		start, inherit                  = "start", "start as heir"
		work, finish                    = "work on 17", "finish 17 with token"
	)
	inHand := fmt.Errorf("claim order 17: %w", &order.InHandError{RetryIn: time.Minute, Version: "v1"})
	abandoned := &order.InHandError{RetryIn: -time.Second, Version: "v1"}
	ours := &order.InHandError{RetryIn: time.Minute, Version: "v1", Ours: true}
	rejected := fmt.Errorf("%w: 422", order.ErrRejected)
	tests := []struct {
		name   string
		script script
		want   []string // calls, after concerns
		err    error    // nil: the message may be forgotten
	}{
		{"an order is claimed, announced, worked on and finished", script{}, []string{claim, start, work, finish}, nil},
		{
			"an order in a former holder's hand is taken over",
			script{claims: []error{inHand, nil}, mayTake: true},
			[]string{claim, look, takeOver, inherit, work, finish},
			nil,
		},
		{
			"an order that nobody has touched for long is taken over",
			script{claims: []error{abandoned, nil}},
			[]string{claim, look, takeOver, inherit, work, finish},
			nil,
		},
		{
			"a claim that had no answer is made good",
			script{claims: []error{ours, nil}},
			[]string{claim, look, takeOver, start, work, finish},
			nil,
		},
		{
			"a take-over that had no answer is made good",
			script{claims: []error{inHand, ours, nil}, mayTake: true},
			[]string{claim, look, takeOver, look, takeOver, inherit, work, finish},
			nil,
		},
		{
			"a claim that had no answer is somebody else's once the lease is lost",
			script{claims: []error{ours}, mayErr: queue.ErrLeaseLost},
			[]string{claim, look},
			queue.ErrLeaseLost,
		},
		{"an order in a living holder's hand is left there", script{claims: []error{inHand}}, []string{claim, look}, inHand},
		{
			"an order that is in somebody's hand even so is left there",
			script{claims: []error{inHand, inHand}, mayTake: true},
			[]string{claim, look, takeOver},
			inHand,
		},
		{"a copy of a fulfilled order is forgotten", script{claims: []error{order.ErrFulfilled}}, []string{claim}, nil},
		{
			"an order that its former holder fulfilled meanwhile is forgotten",
			script{claims: []error{inHand, order.ErrFulfilled}, mayTake: true},
			[]string{claim, look, takeOver},
			nil,
		},
		{"an order that is not there is not worked on", script{claims: []error{order.ErrUnknown}}, []string{claim}, order.ErrUnknown},
		{"an order in a state of somebody else's is not worked on", script{claims: []error{order.ErrForeign}}, []string{claim}, order.ErrForeign},
		{"a claim that fails", script{claims: []error{errBroken}}, []string{claim}, errBroken},
		{"a look for the former holder that fails", script{claims: []error{inHand}, mayErr: errBroken}, []string{claim, look}, errBroken},
		{
			"a take-over that fails",
			script{claims: []error{inHand, errBroken}, mayTake: true},
			[]string{claim, look, takeOver},
			errBroken,
		},
		{"no work begins that the queue has not been told of", script{startErr: queue.ErrLeaseLost}, []string{claim, start}, queue.ErrLeaseLost},
		{"work that fails", script{workErr: errBroken}, []string{claim, start, work}, errBroken},
		{"work that refuses the order", script{workErr: rejected}, []string{claim, start, work}, order.ErrRejected},
		{"work that ends just in time", script{workFor: timeout - 1}, []string{claim, start, work, finish}, nil},
		{"work that takes too long", script{workFor: timeout + 1}, []string{claim, start, work}, errTimeout},
		{"a superseded worker finishes nothing", script{finishErr: order.ErrSuperseded}, []string{claim, start, work, finish}, order.ErrSuperseded},
		{"an order that its new holder fulfilled is forgotten", script{finishErr: order.ErrFulfilled}, []string{claim, start, work, finish}, nil},
		{"a finish that fails", script{finishErr: errBroken}, []string{claim, start, work, finish}, errBroken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := tt.script.fulfil(t.Context(), slog.New(slog.DiscardHandler), payload)
				if want := append([]string{concerns}, tt.want...); !slices.Equal(tt.script.calls, want) {
					t.Errorf("the calls are %q, want %q", tt.script.calls, want)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("the result is %v, want %v", err, tt.err)
				}
			})
		})
	}
}

func TestFulfiller_touchesNoRowForABadMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, payload string
		want          error
		concerns      string
	}{
		{"no message", "hello", order.ErrMalformed, "concerns 0 "},
		{"a field of the wrong type", `{"order_id": 17, "quantity": "2", "correlation_id": "0b6c"}`, order.ErrMalformed, "concerns 17 0b6c"},
		{"a field out of range", strings.Replace(payload, `"quantity": 2`, `"quantity": 0`, 1), order.ErrInvalid, "concerns 17 0b6c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s script
			err := s.fulfil(t.Context(), slog.New(slog.DiscardHandler), tt.payload)
			if want := []string{tt.concerns}; !slices.Equal(s.calls, want) {
				t.Errorf("the calls are %q, want %q", s.calls, want)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("the result is %v, want %v", err, tt.want)
			}
		})
	}
}

func TestFulfiller_saysThatTheTimeIsOver(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]Work{
		"work that says why it ended":      Simulation{Min: time.Hour, Max: time.Hour},
		"work that says that it was ended": &script{workFor: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s script
				f := &Fulfiller{Orders: &s, Work: work, Timeout: timeout, Log: slog.New(slog.DiscardHandler)}
				began := time.Now()
				err := f.fulfil(t.Context(), &s, read(&s, []byte(payload)))
				if took := time.Since(began); took != timeout {
					t.Errorf("the work took %v, want %v", took, timeout)
				}
				if err == nil || strings.Count(err.Error(), "ORDER_TIMEOUT is over") != 1 {
					t.Errorf("the error is %q, want it to say once that ORDER_TIMEOUT is over", err)
				}
			})
		})
	}
}

func TestFulfiller_atShutdown(t *testing.T) {
	t.Parallel()
	stop := errors.New("shutdown")

	t.Run("work that is cut off is not finished, and has not timed out", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, stop)
			defer cancel()
			var s script
			f := &Fulfiller{Orders: &s, Work: Simulation{Min: time.Minute, Max: time.Minute}, Timeout: timeout, Log: slog.New(slog.DiscardHandler)}
			err := f.fulfil(ctx, &s, read(&s, []byte(payload)))
			if !errors.Is(err, stop) || errors.Is(err, errTimeout) {
				t.Errorf("the result is %v, want %v", err, stop)
			}
			if slices.Contains(s.calls, "finish 17 with token") {
				t.Error("the order was finished")
			}
		})
	})
	t.Run("work that gets done all the same is finished", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			var s script
			f := &Fulfiller{Orders: &s, Work: workFunc(func(context.Context) error { cancel(stop); return nil }), Timeout: timeout, Log: slog.New(slog.DiscardHandler)}
			if err := f.fulfil(ctx, &s, read(&s, []byte(payload))); err != nil {
				t.Errorf("the result is %v, want success", err)
			}
			if !slices.Contains(s.calls, "finish 17 with token") {
				t.Errorf("the calls are %q, want the order finished", s.calls)
			}
		})
	})
}

type workFunc func(context.Context) error

func (f workFunc) Do(ctx context.Context, _ order.Message) error { return f(ctx) }

func TestFulfiller_logs(t *testing.T) {
	t.Parallel()
	inHand := &order.InHandError{RetryIn: time.Minute}
	tests := []struct {
		name   string
		script script
		want   []string
	}{
		{
			"an order's life",
			script{workFor: 812 * time.Millisecond},
			[]string{"info Processing order 17 delivery=2", "info Order 17 fulfilled processing_duration_ms=812"},
		},
		{
			"a take-over",
			script{claims: []error{inHand, nil}, mayTake: true},
			[]string{"info Order 17 taken over from a former holder", "info Processing order 17 delivery=2", "info Order 17 fulfilled processing_duration_ms=0"},
		},
		{"a copy", script{claims: []error{order.ErrFulfilled}}, []string{"info Order was fulfilled before, message dropped"}},
		{"what comes to nothing is logged by the queue", script{workErr: errBroken}, []string{"info Processing order 17 delivery=2"}},
		{
			"an order that its new holder fulfilled",
			script{finishErr: order.ErrFulfilled},
			[]string{"info Processing order 17 delivery=2", "warn Order was fulfilled by its new holder, nothing changed"},
		},
		{
			"a superseded worker",
			script{finishErr: order.ErrSuperseded},
			[]string{"info Processing order 17 delivery=2", "warn Order was taken over, nothing changed"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				lines := logger.New(&log, "test", slog.LevelDebug)
				_ = tt.script.fulfil(t.Context(), lines, payload)
				logger.Flush(lines)
				var got []string
				for text := range strings.Lines(log.String()) {
					var line struct {
						Level, Message string
						CorrelationID  string `json:"correlation_id"`
						OrderID        int    `json:"order_id"`
						Delivery       *int
						Took           *int `json:"processing_duration_ms"`
					}
					if err := json.Unmarshal([]byte(text), &line); err != nil {
						t.Fatal(err)
					}
					if line.CorrelationID != "0b6c" || line.OrderID != 17 {
						t.Errorf("a line does not carry its order's ids: %s", text)
					}
					said := line.Level + " " + line.Message
					if line.Delivery != nil {
						said += fmt.Sprintf(" delivery=%d", *line.Delivery)
					}
					if line.Took != nil {
						said += fmt.Sprintf(" processing_duration_ms=%d", *line.Took)
					}
					got = append(got, said)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("the log says\n%q, want\n%q", got, tt.want)
				}
			})
		})
	}
}

// world is an order's row, a message about it, and calls that can go wrong in two
// ways: before they have done anything, and after.
type world struct {
	Orders // nobody prepares here

	status   order.Status
	version  int
	returned bool // somebody held the message, and nobody has started it since

	fault   string // the call that goes wrong, once
	applied bool   // it goes wrong after it has done its work

	works, fulfilled int
}

// call runs a step, or breaks it.
func (w *world) call(name string, step func() error) error {
	if w.fault != name {
		return step()
	}
	w.fault = ""
	if w.applied {
		_ = step()
	}
	return errBroken
}

func (w *world) token() db.Token { return db.Token(strconv.Itoa(w.version)) }

func (w *world) Claim(_ context.Context, _ int64, version string) (token db.Token, err error) {
	name := "claim"
	if version != "" {
		name = "take over"
	}
	err = w.call(name, func() error {
		switch {
		case w.status == order.Fulfilled:
			return order.ErrFulfilled
		case w.status == order.Processing && version != string(w.token()):
			return &order.InHandError{RetryIn: time.Minute, Version: string(w.token())}
		}
		w.status = order.Processing
		w.version++
		token = w.token()
		return nil
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

func (w *world) Finish(_ context.Context, _ int64, token db.Token) error {
	return w.call("finish", func() error {
		switch {
		case w.status == order.Fulfilled:
			return order.ErrFulfilled
		case w.token() != token:
			return order.ErrSuperseded
		}
		w.status = order.Fulfilled
		w.version++
		w.fulfilled++
		return nil
	})
}

func (w *world) Concerns(int64, string) {}

func (w *world) Number() int { return 1 }

func (w *world) MayTakeOver(context.Context) (may bool, err error) {
	err = w.call("may take over", func() error { may = w.returned; return nil })
	return may && err == nil, err
}

func (w *world) Start(context.Context, bool) error {
	return w.call("start", func() error { w.returned = false; return nil })
}

func (w *world) Do(context.Context, order.Message) error {
	return w.call("work", func() error { w.works++; return nil })
}

// deliver hands the message to a worker. What is not done counts as held before.
func (w *world) deliver(t *testing.T) (done bool) {
	f := &Fulfiller{Orders: w, Work: w, Timeout: timeout, Log: logger.New(io.Discard, "test", slog.LevelError)}
	err := classify(f.fulfil(t.Context(), w, read(w, []byte(payload))))
	if err == nil && w.status != order.Fulfilled {
		t.Fatalf("the message may be forgotten, and the order is %s", w.status)
	}
	w.returned = w.returned || err != nil
	return err == nil
}

func TestFulfiller_unknownOutcomes(t *testing.T) {
	t.Parallel()
	held := world{status: order.Processing, version: 1, returned: true} // by somebody who died
	fresh := world{status: order.Pending}
	tests := []struct {
		name    string
		world   world
		fault   string
		applied bool
		works   int
	}{
		{"nothing goes wrong", fresh, "", false, 1},
		{"the claim fails", fresh, "claim", false, 1},
		{"the claim is carried out but its answer is lost", fresh, "claim", true, 1},
		{"nothing goes wrong with a former holder's order", held, "", false, 1},
		{"the look for a former holder fails", held, "may take over", false, 1},
		{"the look for a former holder is answered to nobody", held, "may take over", true, 1},
		{"the take-over fails", held, "take over", false, 1},
		{"the take-over is carried out but its answer is lost", held, "take over", true, 1},
		{"the start cannot be noted", fresh, "start", false, 1},
		{"the start is noted but the answer is lost", fresh, "start", true, 1},
		{"the work fails", fresh, "work", false, 1},
		{"the work is done but its answer is lost", fresh, "work", true, 2},
		{"the finish fails", fresh, "finish", false, 2},
		{"the finish is carried out but its answer is lost", fresh, "finish", true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.world
			w.fault, w.applied = tt.fault, tt.applied
			if done := w.deliver(t); done != (tt.fault == "") {
				t.Errorf("after the first delivery the message is done: %t", done)
			}
			for range 2 { // the second is a copy
				if !w.deliver(t) {
					t.Errorf("the order is %s, and its message is not done", w.status)
				}
			}
			if w.fault != "" || w.status != order.Fulfilled || w.fulfilled != 1 || w.works != tt.works {
				t.Errorf("the order is %s, was fulfilled %d times and worked on %d times, want once and %d", w.status, w.fulfilled, w.works, tt.works)
			}
		})
	}
}
