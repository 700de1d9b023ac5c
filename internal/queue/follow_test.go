package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// Who follows a delivery is told once what became of it, however it ended.
func TestDelivery_Follow(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name   string
		handle func(ctx context.Context, b *bench) error
		want   queue.Fate
	}{
		{"done", func(context.Context, *bench) error { return nil }, queue.Fate{Outcome: queue.WasAcked}},
		{"failed", func(context.Context, *bench) error { return boom }, queue.Fate{Outcome: queue.WasRetried, Error: "boom"}},
		{"panicked", func(context.Context, *bench) error { panic("boom") }, queue.Fate{Outcome: queue.WasRetried, Error: "the handler panicked: boom"}},
		{"rejected", func(context.Context, *bench) error { return queue.Reject(queue.Invalid, boom) }, queue.Fate{Outcome: queue.WasBuried, Reason: queue.Invalid, Error: "boom"}},
		{"failed for the last time", func(ctx context.Context, b *bench) error {
			must(b, b.rdb.HSet(ctx, b.keys.Deliveries(), queue.Digest([]byte("m")), b.cfg.MaxDeliveries-1).Err())
			return boom
		}, queue.Fate{Outcome: queue.WasBuried, Reason: queue.Exhausted, Error: "boom"}},
		{"put off", func(context.Context, *bench) error { return queue.PutOff(time.Hour, boom) }, queue.Fate{Outcome: queue.WasPutOff, Error: "boom"}},
		{"gone meanwhile", func(ctx context.Context, b *bench) error {
			must(b, b.rdb.Del(ctx, b.keys.Processing(b.firstInstance())).Err())
			return boom
		}, queue.Fate{Outcome: queue.WasLost, Error: "boom"}},
		{"lease lost", func(context.Context, *bench) error { return queue.ErrLeaseLost }, queue.Fate{Outcome: queue.WasLost, Error: queue.ErrLeaseLost.Error()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.RetryInitial, b.cfg.RetryMax = time.Hour, time.Hour
			b.push("m")
			before := time.Now()
			fates := make(chan queue.Fate, 10)
			origins := make(chan queue.Origin, 10)
			var handled time.Time
			b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if !handled.IsZero() {
					return nil // it is delivered again
				}
				origins <- d.Origin()
				d.Follow("t-1", "s-1", func(f queue.Fate) { fates <- f })
				handled = time.Now()
				return tt.handle(ctx, b)
			})
			testenv.Eventually(t, 10*time.Second, "its fate is told", func() bool { return len(fates) > 0 })
			got, origin := <-fates, <-origins
			if got.Handled.Before(handled) || origin.Claimed.Before(before) || origin.Claimed.After(handled) {
				t.Errorf("claimed at %v, handled at %v, want after %v and after %v", origin.Claimed, got.Handled, before, handled)
			}
			if got.Handled = (time.Time{}); got != tt.want {
				t.Errorf("its fate is %+v, want %+v", got, tt.want)
			}
			if origin.Claimed = (time.Time{}); origin.Queue != b.cfg.Name || origin.Digest != queue.Digest([]byte("m")) || !strings.HasPrefix(origin.Instance, "w-") {
				t.Errorf("its origin is %+v", origin)
			}
		})
	}
}

func TestDelivery_Follow_atShutdown(t *testing.T) {
	b := newBench(t)
	b.cfg.ShutdownTimeout = 0
	b.push("m")
	fates, started := make(chan queue.Fate, 10), make(chan struct{})
	var out bytes.Buffer
	stop := b.consume(queue.NewConsumer(b.queue(b.url, logger.New(&out, "test", slog.LevelInfo)), open), func(ctx context.Context, d *queue.Delivery) error {
		d.Concerns(17, "c")
		d.Follow("t-1", "s-1", func(f queue.Fate) { fates <- f })
		close(started)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	<-started
	stop()
	if len(fates) != 1 {
		t.Fatalf("its fate was told %d times", len(fates))
	}
	if f := <-fates; f.Outcome != queue.WasHandedBack || f.Error != queue.ErrShutdown.Error() {
		t.Errorf("its fate is %+v", f)
	}
	for text := range strings.Lines(out.String()) {
		var line map[string]any
		must(t, json.Unmarshal([]byte(text), &line))
		if line["message"] == "work given up" && (line["order_id"] != 17.0 || line["trace_id"] != "t-1" || line["span_id"] != "s-1") {
			t.Errorf("a line about it does not name its trace: %s", text)
		}
	}
	if !strings.Contains(out.String(), "work given up") {
		t.Errorf("the log says %s", out.String())
	}
}
