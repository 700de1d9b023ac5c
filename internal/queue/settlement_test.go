package queue_test

import (
	"context"
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

	"github.com/redis/go-redis/v9"
)

// What becomes of one message is nobody else's, though they are told to Redis together.
func TestConsumer_settlesEachOfMany(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency, b.cfg.MaxDeliveries, b.cfg.RetryInitial, b.cfg.RetryMax = 200, 2, time.Hour, time.Hour
	all := names("m", 400)
	b.push(all...)
	b.push(names("copy", 2)...)
	b.push(names("copy", 2)...)
	var gathered atomic.Int64
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		if err := d.Start(ctx, false); err != nil {
			return err
		}
		gathered.Add(1)
		payload := string(d.Payload)
		switch {
		case strings.HasSuffix(payload, "1"):
			return queue.Reject(queue.Rejected, errors.New("not this one"))
		case strings.HasSuffix(payload, "2"):
			return queue.PutOff(time.Hour, errors.New("later"))
		case strings.HasSuffix(payload, "3"):
			return errors.New("it failed")
		}
		return nil
	})
	testenv.Eventually(t, 20*time.Second, "all are settled", func() bool {
		n := b.rdb.ZCard(t.Context(), b.keys.Delayed()).Val() + b.rdb.XLen(t.Context(), b.keys.Dead()).Val()
		return gathered.Load() == 404 && n == 3*40+2
	})
	var dead []string
	for _, letter := range b.dead() {
		dead = append(dead, letter["payload"].(string))
	}
	want := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return !strings.HasSuffix(p, "1") })
	want = append(want, "copy1", "copy1")
	slices.Sort(dead)
	slices.Sort(want)
	if !slices.Equal(dead, want) {
		t.Errorf("dead letters are %v, want %v", dead, want)
	}
	for _, p := range all {
		if got, want := b.charged(p), map[bool]int{true: 1}[strings.HasSuffix(p, "3")]; got != want {
			t.Errorf("%s is charged %d, want %d", p, got, want)
		}
	}
	b.wantNoneInHand()
}

// wantNoneInHand fails unless the workers let go of all that they held, and of their notes.
func (b *bench) wantNoneInHand() {
	b.Helper()
	testenv.Eventually(b.T, 5*time.Second, "nothing is in hand", func() bool {
		held, err := b.rdb.Keys(b.Context(), b.keys.ProcessingPattern()).Result()
		must(b, err)
		return len(held) == 0
	})
	testenv.Eventually(b.T, 5*time.Second, "nothing is shown as being worked on", func() bool {
		shown := 0
		for _, instance := range b.instances() {
			fields, err := b.rdb.HKeys(b.Context(), b.keys.Worker(instance)).Result()
			must(b, err)
			for _, field := range fields {
				if strings.HasPrefix(field, "order:") {
					shown++
				}
			}
		}
		return shown == 0
	})
}

// A Redis that is new knows no script; a pipeline cannot find that out before.
func TestConsumer_settlesWhereTheScriptsAreUnknown(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	b.cfg.Concurrency = 50
	b.push(names("m", 2000)...)
	var n atomic.Int64
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		if n.Add(1)%100 == 0 {
			must(t, b.rdb.ScriptFlush(ctx).Err())
		}
		return d.Start(ctx, false)
	})
	testenv.Eventually(t, 30*time.Second, "all are handled", func() bool { return n.Load() == 2000 })
	b.wantNoneInHand()
}

// Who has many messages in hand keeps them in several lists, none of which gets long; all
// of them are handed back, and found where a dead worker left them.
func TestConsumer_keepsManyInLanes(t *testing.T) {
	const hands = 1000
	tests := []struct {
		name string
		end  func(b *bench, stop func())
	}{
		{"and leaves", func(_ *bench, stop func()) { stop() }},
		{"and is presumed dead", func(b *bench, stop func()) {
			must(b, b.rdb.ZAdd(b.Context(), b.keys.Workers(), redis.Z{Score: 1, Member: b.instances()[0]}).Err())
			must(b, queue.NewReaper(b.queue(b.url, silent())).Turn(b.Context()))
			defer stop()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Concurrency, b.cfg.Lease, b.cfg.ShutdownTimeout = hands, time.Minute, 0
			b.push(names("m", hands+100)...)
			var gate atomic.Bool
			gate.Store(true)
			never := make(chan struct{})
			stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), func() <-chan struct{} {
				if gate.Load() {
					return always
				}
				return never
			}), func(ctx context.Context, _ *queue.Delivery) error {
				<-ctx.Done()
				return ctx.Err()
			})
			held := func() (lengths []int64) {
				for _, key := range b.keys.Lanes(b.instances()[0], hands) {
					lengths = append(lengths, b.rdb.LLen(t.Context(), key).Val())
				}
				return lengths
			}
			testenv.Eventually(t, 20*time.Second, "its hands are full", func() bool { return b.rdb.LLen(t.Context(), b.keys.Queue()).Val() == 100 })
			gate.Store(false)
			if lengths := held(); len(lengths) != 8 || slices.Max(lengths) > 256 || slices.Min(lengths) == 0 {
				t.Errorf("the lanes hold %v", lengths)
			}
			tt.end(b, stop)
			testenv.Eventually(t, 10*time.Second, "all are back", func() bool { return b.rdb.LLen(t.Context(), b.keys.Queue()).Val() == hands+100 })
			got := b.list(b.keys.Queue())
			slices.Sort(got)
			want := names("m", hands+100)
			slices.Sort(want)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Error("the queue does not hold what it held before")
			}
		})
	}
}

// shut is a log that writes nothing until it is opened.
type shut struct{ open chan struct{} }

func (s shut) Write(p []byte) (int, error) {
	<-s.open
	return len(p), nil
}

// What is said of an order is out before its message is forgotten.
func TestConsumer_forgetsNothingBeforeItIsSaid(t *testing.T) {
	b := newBench(t)
	out := shut{make(chan struct{})}
	log := logger.New(out, "test", slog.LevelWarn)
	b.push("m")
	handled := make(chan struct{})
	b.consume(queue.NewConsumer(b.queue(b.url, log), open), func(context.Context, *queue.Delivery) error {
		defer close(handled)
		go log.Warn("about the order") // is never out
		testenv.Eventually(t, 5*time.Second, "the line is on its way", func() bool { return logging(log) })
		return nil
	})
	<-handled
	<-time.After(300 * time.Millisecond) // long enough for an acknowledgement
	if n := b.rdb.LLen(t.Context(), b.keys.Processing(b.firstInstance())).Val(); n != 1 {
		t.Errorf("%d messages are in hand, want 1: its line is not out", n)
	}
	close(out.open)
	b.wantNoneInHand()
}

// logging reports whether a line is not out yet.
func logging(log *slog.Logger) bool {
	flushed := make(chan struct{})
	go func() {
		logger.Flush(log)
		close(flushed)
	}()
	select {
	case <-flushed:
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

// A message is given back by somebody who takes its worker for dead, while that has it in hand
// and its lease, and is claimed by that worker again. Once both are settled nothing is kept
// about it, whichever of them Redis forgets first.
func TestConsumer_leavesNoMarkOfWhatItNeverLost(t *testing.T) {
	b := newBench(t)
	b.push("m")
	goOn := []chan struct{}{make(chan struct{}), make(chan struct{})}
	var handled atomic.Int64
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(context.Context, *queue.Delivery) error {
		<-goOn[handled.Add(1)-1]
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "it is in hand", func() bool { return handled.Load() == 1 })
	_, err := b.rdb.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.HSet(t.Context(), b.keys.Returned(), queue.Digest([]byte("m")), "died somebody")
		p.LMove(t.Context(), b.keys.Processing(b.firstInstance()), b.keys.Queue(), "RIGHT", "RIGHT")
		return nil
	})
	must(t, err)
	testenv.Eventually(t, 10*time.Second, "it is in hand twice", func() bool { return handled.Load() == 2 })
	close(goOn[0])
	testenv.Eventually(t, 10*time.Second, "one is forgotten", func() bool {
		return b.rdb.LLen(t.Context(), b.keys.Processing(b.firstInstance())).Val() == 0
	})
	close(goOn[1])
	b.wantNoneInHand()
	testenv.Eventually(t, 10*time.Second, "nothing is kept about it", func() bool {
		return b.rdb.Exists(t.Context(), b.keys.Returned(), b.keys.Deliveries()).Val() == 0
	})
}
