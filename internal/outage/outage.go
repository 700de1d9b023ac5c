// Package outage waits out the times when a server is away.
//
// # What callers may rely on
//
//   - Waiting backs off exponentially, with jitter, to one second at most; it
//     never gives up by itself and never spins.
//   - An outage is logged when it begins and when it ends, not in between.
//
// # What this package never does
//
//   - It never bounds a single attempt: the operation has its own time-out.
//   - It never decides whether an operation is safe to repeat.
package outage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// LongestWait is more than the longest pause between two tries.
const LongestWait = time.Second

// Stop wraps an error that waiting cannot cure: [Ride] returns it at once.
func Stop(err error) error { return backoff.Permanent(err) }

// Ride calls op until it succeeds, fails with an error made by [Stop], or ctx is
// done between two calls. It calls op at least once, so that what must be tried
// is tried even in a context that is done. Its error is nil, the one that Stop
// was given, or the cause of ctx's end joined with op's last error. The name of
// the operation, an infinitive, tells in the log what is held up.
func Ride(ctx context.Context, log *slog.Logger, name string, op func() error) error {
	return RideQuietly(ctx, log, name, func(error) bool { return true }, op)
}

// RideQuietly is [Ride] for what many do at once and somebody else says loudly: it logs
// an outage at the level debug. An answer that is a refusal, as refused tells, it says
// loudly all the same, for nobody else meets it.
func RideQuietly(ctx context.Context, log *slog.Logger, name string, refused func(error) bool, op func() error) error {
	err := op()
	if err == nil { // nearly always, and then it costs nothing
		return nil
	}
	return rideOn(ctx, log, name, refused, err, op)
}

// rideOn goes on after a first call of op that failed with that error.
func rideOn(ctx context.Context, log *slog.Logger, name string, refused func(error) bool, last error, op func() error) error {
	var since time.Time
	var said slog.Level // how loudly
	first := true
	attempt := func() error {
		if !first {
			last = op()
		}
		first = false
		return last
	}
	notify := func(err error, _ time.Duration) {
		level := slog.LevelDebug
		if refused(err) {
			level = slog.LevelWarn
		}
		if first := since.IsZero(); first || level > said {
			log.Log(ctx, level, "cannot "+name+", trying until it works", "error", err)
			said = level
			if first {
				since = time.Now()
			}
		}
	}
	err := backoff.RetryNotify(attempt, backoff.WithContext(newBackOff(), ctx), notify)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", context.Cause(ctx), last)
	}
	if !since.IsZero() { // an error made by Stop is an answer, too
		log.Log(ctx, min(said, slog.LevelInfo), "can "+name+" again", "outage_seconds", time.Since(since).Seconds())
	}
	return err
}

func newBackOff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.3),
		backoff.WithMaxInterval(LongestWait*3/4), // the jitter comes on top
		backoff.WithMaxElapsedTime(0),
	)
}
