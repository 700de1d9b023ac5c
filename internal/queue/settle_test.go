package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// The outcomes of a handler, and what is left of the message in each case.
func TestConsumer_settles(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name       string
		payload    string
		handle     func(n int) error // n counts the deliveries from 1
		deliveries int
		reason     string // of the dead letter
		charged    string // as the dead letter says
	}{
		{"done at once", "m", func(int) error { return nil }, 1, "", ""},
		{"done at the second try", "m", func(n int) error { return map[bool]error{true: boom}[n == 1] }, 2, "", ""},
		{"fails for ever", "m", func(int) error { return boom }, 3, "exhausted", "3"},
		{"panics for ever", "m", func(int) error { panic("nil map") }, 3, "exhausted", "3"},
		{"fails for ever with a reason", "m", func(int) error { return &queue.Failure{Err: boom, Last: queue.UnknownOrder} }, 3, "unknown_order", "3"},
		{"is rejected", "m", func(int) error { return queue.Reject(queue.Rejected, boom) }, 1, "rejected", "0"},
		{"fails, then is rejected", "m", func(n int) error {
			return map[bool]error{true: boom, false: queue.Reject(queue.Invalid, boom)}[n == 1]
		}, 2, "invalid", "1"},
		{"is put off twenty times", "m", func(n int) error {
			return map[bool]error{true: queue.PutOff(time.Millisecond, boom)}[n <= 20]
		}, 21, "", ""},
		{"is too long", strings.Repeat("x", 1001), func(int) error { return nil }, 0, "too_large", "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.RetryMax = 20 * time.Millisecond
			b.push(tt.payload)
			var n atomic.Int64
			q := b.queue(b.url, silent())
			b.run(queue.NewPromoter(q).Run)
			stop := b.consume(queue.NewConsumer(q, open), func(context.Context, *queue.Delivery) error {
				return tt.handle(int(n.Add(1)))
			})
			testenv.Eventually(t, 20*time.Second, "the message is settled", func() bool {
				waiting := b.rdb.LLen(t.Context(), b.keys.Queue()).Val() + b.rdb.ZCard(t.Context(), b.keys.Delayed()).Val()
				inHand := b.rdb.LLen(t.Context(), b.keys.Processing(b.firstInstance())).Val()
				return int(n.Load()) >= tt.deliveries && inHand+waiting == 0
			})
			stop()
			if got := int(n.Load()); got != tt.deliveries {
				t.Errorf("delivered %d times, want %d", got, tt.deliveries)
			}
			if tt.reason == "" {
				b.wantKeys(b.keys.Events())
				return
			}
			b.wantKeys(b.keys.Events(), b.keys.Dead())
			letters := b.dead()
			if len(letters) != 1 {
				t.Fatalf("%d dead letters, want 1", len(letters))
			}
			for field, want := range map[string]string{"payload": tt.payload, "reason": tt.reason, "deliveries": tt.charged} {
				if got := letters[0][field]; got != want {
					t.Errorf("dead letter's %s is %q, want %q", field, got, want)
				}
			}
		})
	}
}

// firstInstance is the only registered one, "" before it has joined.
func (b *bench) firstInstance() string {
	if all := b.instances(); len(all) > 0 {
		return all[0]
	}
	return ""
}

func TestConsumer_retriesWaitLonger(t *testing.T) {
	b := newBench(t)
	b.cfg.RetryInitial, b.cfg.RetryMax, b.cfg.MaxDeliveries = 100*time.Millisecond, 250*time.Millisecond, 5
	b.push("m")
	var lines recorder
	q := b.queue(b.url, logger.New(writer(lines.note), "test", slog.LevelWarn))
	b.run(queue.NewPromoter(q).Run)
	b.consume(queue.NewConsumer(q, open), func(context.Context, *queue.Delivery) error {
		return errors.New("boom") // before Start: the queue counts all the same
	})
	testenv.Eventually(t, 10*time.Second, "the message is dead", func() bool { return len(b.dead()) == 1 })
	var waits []int
	for _, line := range lines.all() {
		var l struct {
			Wait int `json:"retry_in_ms"`
		}
		must(t, json.Unmarshal([]byte(line), &l))
		if l.Wait > 0 {
			waits = append(waits, l.Wait)
		}
	}
	bounds := [][2]int{{80, 120}, {160, 240}, {200, 300}, {200, 300}}
	if len(waits) != len(bounds) {
		t.Fatalf("waits of %v ms, want %d of them", waits, len(bounds))
	}
	for i, w := range waits {
		if w < bounds[i][0] || w > bounds[i][1] {
			t.Errorf("wait %d is %d ms, want %d to %d", i+1, w, bounds[i][0], bounds[i][1])
		}
	}
}

// writer makes an io.Writer of a function.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// A copy that is settled takes nothing from its twin that is being worked on.
func TestDelivery_twinsDoNotDisturbEachOther(t *testing.T) {
	tests := []struct {
		name   string
		second error // what becomes of the second copy
	}{
		{"one is put off", queue.PutOff(time.Hour, errors.New("in hand"))},
		{"one fails", errors.New("boom")},
		{"one is rejected", queue.Reject(queue.Rejected, errors.New("no"))},
		{"one is done", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.RetryInitial, b.cfg.RetryMax = time.Hour, time.Hour
			var n atomic.Int64
			started := make(chan struct{})
			finish := make(chan struct{})
			b.push("twin")
			stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if n.Add(1) == 2 {
					return tt.second
				}
				must(t, d.Start(ctx, false))
				close(started)
				<-finish
				return nil
			})
			<-started
			worker := b.keys.Worker(b.firstInstance())
			b.push("twin")
			testenv.Eventually(t, 5*time.Second, "the second copy is settled", func() bool {
				return n.Load() == 2 && b.rdb.LLen(t.Context(), b.keys.Processing(b.firstInstance())).Val() == 1
			})
			testenv.Eventually(t, 5*time.Second, "the first copy is shown as being worked on", func() bool {
				return b.rdb.HExists(t.Context(), worker, "order:"+queue.Digest([]byte("twin"))).Val()
			})
			close(finish)
			stop()
			if got := b.list(b.keys.Queue()); len(got) != 0 {
				t.Errorf("handed back: %v", got)
			}
		})
	}
}

// The right to take an order over comes with a failure, not with being put off, and
// goes with the next start.
func TestDelivery_mayTakeOverWhatFailed(t *testing.T) {
	b := newBench(t)
	q := b.queue(b.url, silent())
	b.run(queue.NewPromoter(q).Run)
	b.push("m")
	var rec recorder
	results := []error{queue.PutOff(time.Millisecond, errors.New("in hand")), errors.New("boom"), nil}
	b.consume(queue.NewConsumer(q, open), func(ctx context.Context, d *queue.Delivery) error {
		before, err := d.MayTakeOver(ctx)
		must(t, err)
		must(t, d.Start(ctx, false))
		after, err := d.MayTakeOver(ctx)
		must(t, err)
		result := results[min(rec.count(), 2)]
		rec.note(fmt.Appendf(nil, "delivery %d: %t, started: %t", d.Number(), before, after))
		return result
	})
	testenv.Eventually(t, 5*time.Second, "it is delivered three times", func() bool { return rec.count() == 3 })
	want := []string{"delivery 1: false, started: false", "delivery 1: false, started: false", "delivery 2: true, started: false"}
	if got := rec.all(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
