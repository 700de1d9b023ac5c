package outage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/outage"
)

var errAway = errors.New("connection refused")

// journal is a log of the level and the message of each line.
type journal struct{ bytes.Buffer }

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&j.Buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (j *journal) lines(t *testing.T) (lines []string) {
	t.Helper()
	for text := range strings.Lines(j.String()) {
		var line struct {
			Level, Msg, Error string
			Seconds           float64 `json:"outage_seconds"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %.0f", line.Level, line.Msg, line.Error, line.Seconds))
	}
	return lines
}

// away fails until so much time has passed, and keeps the time of each call.
type away struct {
	began time.Time
	calls []time.Time
	lasts time.Duration
}

func newAway(lasts time.Duration) *away { return &away{began: time.Now(), lasts: lasts} }

func (a *away) op() error {
	a.calls = append(a.calls, time.Now())
	if time.Since(a.began) < a.lasts {
		return errAway
	}
	return nil
}

func TestRide_waitsUntilItWorks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lasts time.Duration
	}{
		{"no outage", 0},
		{"a blink", time.Millisecond},
		{"a minute", time.Minute},
		{"longer than the library waits by default", 20 * time.Minute},
		{"a week", 7 * 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log journal
				a := newAway(tt.lasts)
				if err := outage.Ride(t.Context(), log.logger(), "reach Redis", a.op); err != nil {
					t.Errorf("Ride: %v", err)
				}
				took := time.Since(a.began)
				if took < tt.lasts || took > tt.lasts+time.Second {
					t.Errorf("Ride took %v, want %v and at most one second more", took, tt.lasts)
				}
				var want []string
				if tt.lasts > 0 {
					want = []string{
						"WARN cannot reach Redis, trying until it works connection refused 0",
						fmt.Sprintf("INFO can reach Redis again  %.0f", took.Seconds()),
					}
				}
				if got := log.lines(t); !slices.Equal(got, want) {
					t.Errorf("the log says\n%q, want\n%q", got, want)
				}
			})
		})
	}
}

func TestRide_pauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const least, first, most = 30 * time.Millisecond, 70 * time.Millisecond, time.Second
		a := newAway(time.Hour)
		if err := outage.Ride(t.Context(), slog.New(slog.DiscardHandler), "reach it", a.op); err != nil {
			t.Fatal(err)
		}
		lengths := map[time.Duration]bool{}
		for i := range a.calls[1:] {
			pause := a.calls[i+1].Sub(a.calls[i])
			if pause < least || pause > most || (i == 0 && pause > first) {
				t.Errorf("pause %d lasts %v, want %v to %v, the first at most %v", i, pause, least, most, first)
			}
			if i > 10 && pause < most/2 {
				t.Errorf("pause %d lasts %v only, want more than %v by then", i, pause, most/2)
			}
			lengths[pause] = true
		}
		if len(lengths) < len(a.calls)/2 {
			t.Errorf("%d pauses have %d lengths, want them to differ", len(a.calls)-1, len(lengths))
		}
	})
}

func TestRide_givesUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log journal
		cause := errors.New("STARTUP_TIMEOUT is over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, cause)
		defer cancel()
		a := newAway(time.Hour)
		err := outage.Ride(ctx, log.logger(), "reach it", a.op)
		if took := time.Since(a.began); took != 10*time.Second {
			t.Errorf("Ride took %v, want 10s: the pause must end with the context", took)
		}
		if !errors.Is(err, cause) || !errors.Is(err, errAway) {
			t.Errorf("Ride: %v, want the cause and the last error", err)
		}
		if want := "STARTUP_TIMEOUT is over: connection refused"; err == nil || err.Error() != want {
			t.Errorf("Ride: %q, want %q", err, want)
		}
		if got := log.lines(t); len(got) != 1 {
			t.Errorf("the log says %q, want that the outage began and no more", got)
		}
	})
}

func TestRide_inAContextThatIsDone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		op      error
		want    []error
		wantNil bool
	}{
		{"what works is done", nil, nil, true},
		{"what fails is not tried again", errAway, []error{context.Canceled, errAway}, false},
		{"what fails for good says why", outage.Stop(errAway), []error{errAway}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				calls, began := 0, time.Now()
				err := outage.Ride(ctx, slog.New(slog.DiscardHandler), "reach it", func() error {
					calls++
					return tt.op
				})
				if calls != 1 || time.Since(began) != 0 {
					t.Errorf("%d calls in %v, want one at once", calls, time.Since(began))
				}
				if (err == nil) != tt.wantNil {
					t.Errorf("Ride: %v", err)
				}
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("Ride: %v, want it to match %v", err, want)
					}
				}
			})
		})
	}
}

func TestRide_stops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("no such order")
		began, calls := time.Now(), 0
		err := outage.Ride(t.Context(), slog.New(slog.DiscardHandler), "claim", func() error {
			calls++
			return fmt.Errorf("row 17: %w", outage.Stop(refused))
		})
		if !errors.Is(err, refused) || calls != 1 || time.Since(began) != 0 {
			t.Errorf("Ride: %v after %d calls and %v, want %v at once", err, calls, time.Since(began), refused)
		}
	})
}

func TestRide_returnsWhatStopWasGiven(t *testing.T) {
	t.Parallel()
	given := fmt.Errorf("claim order 17: %w", errAway)
	err := outage.Ride(t.Context(), slog.New(slog.DiscardHandler), "claim", func() error { return outage.Stop(given) })
	if err != given { //nolint:errorlint // it is this very error
		t.Errorf("Ride: %v, want %v itself", err, given)
	}
	if err.Error() != "claim order 17: connection refused" {
		t.Errorf("Ride says %q", err)
	}
}

// What Stop was given may itself be the end of some context, but not of Ride's.
func TestRide_stopsForAnotherContextsEnd(t *testing.T) {
	t.Parallel()
	err := outage.Ride(t.Context(), slog.New(slog.DiscardHandler), "claim", func() error { return outage.Stop(context.Canceled) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Ride: %v, want %v", err, context.Canceled)
	}
}

// An operation that fails by a context of its own is tried again: only Ride's ends it.
func TestRide_triesAgainWhatTimedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := outage.Ride(t.Context(), slog.New(slog.DiscardHandler), "reach it", func() error {
			if calls++; calls < 3 {
				return context.DeadlineExceeded
			}
			return nil
		})
		if err != nil || calls != 3 {
			t.Errorf("Ride: %v after %d calls, want success after 3", err, calls)
		}
	})
}

// The server answers again, if only with a no: that is the end of the outage.
func TestRide_logsTheEndBeforeAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log journal
		refused := errors.New("no such order")
		a := newAway(time.Minute)
		err := outage.Ride(t.Context(), log.logger(), "claim", func() error {
			if err := a.op(); err != nil {
				return err
			}
			return outage.Stop(refused)
		})
		if !errors.Is(err, refused) {
			t.Errorf("Ride: %v, want %v", err, refused)
		}
		if got := log.lines(t); len(got) != 2 || !strings.HasPrefix(got[1], "INFO can claim again") {
			t.Errorf("the log says %q, want the outage's beginning and its end", got)
		}
	})
}

func TestRideQuietly(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		begin, end := "DEBUG cannot claim", "DEBUG can claim again"
		if refused {
			begin, end = "WARN cannot claim", "INFO can claim again"
		}
		synctest.Test(t, func(t *testing.T) {
			var log journal
			a := newAway(time.Minute)
			if err := outage.RideQuietly(t.Context(), log.logger(), "claim", func(error) bool { return refused }, a.op); err != nil {
				t.Errorf("RideQuietly: %v", err)
			}
			got := log.lines(t)
			if len(got) != 2 || !strings.HasPrefix(got[0], begin) || !strings.HasPrefix(got[1], end) {
				t.Errorf("refused %v: the log says %q, want the outage's beginning and its end as %q and %q", refused, got, begin, end)
			}
		})
	}
}
