package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// finisher is a Consumer's Finish that remembers what it was given.
type finisher struct {
	mu    sync.Mutex
	calls [][]string
	say   func(payload string, together int) error
}

func (f *finisher) finish(_ context.Context, all []*queue.Delivery) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var payloads []string
	errs := make([]error, len(all))
	for i, d := range all {
		payloads = append(payloads, string(d.Payload))
		errs[i] = f.say(string(d.Payload), len(all))
	}
	f.calls = append(f.calls, payloads)
	return errs
}

// timesEach is how often each payload was given.
func (f *finisher) timesEach() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	times := map[string]int{}
	for _, payload := range slices.Concat(f.calls...) {
		times[payload]++
	}
	return times
}

// What many handlers have done is finished together; what becomes of one of them is
// nobody else's.
func TestConsumer_finishesTogether(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency, b.cfg.RetryInitial, b.cfg.RetryMax = 100, time.Hour, time.Hour
	b.push(names("m", 1000)...)
	f := finisher{say: func(payload string, together int) error {
		switch {
		case strings.HasSuffix(payload, "1"):
			return queue.Reject(queue.Rejected, errors.New("not this one"))
		case strings.HasSuffix(payload, "2") && together > 1:
			return queue.ErrAlone
		case strings.HasSuffix(payload, "22"):
			return errors.New("it failed, alone")
		case strings.HasSuffix(payload, "333"):
			panic("not with this one, be it alone or together with others")
		}
		return nil
	}}
	c := queue.NewConsumer(b.queue(b.url, silent()), open)
	c.Finish = f.finish
	var handled atomic.Int64
	b.consume(c, func(ctx context.Context, d *queue.Delivery) error {
		handled.Add(1)
		return d.Start(ctx, false)
	})
	testenv.Eventually(t, 20*time.Second, "all are settled", func() bool {
		return handled.Load() == 1000 && b.rdb.XLen(t.Context(), b.keys.Dead()).Val() == 100 && b.rdb.ZCard(t.Context(), b.keys.Delayed()).Val() == 11
	})
	b.wantNoneInHand()
	f.mu.Lock()
	calls := len(f.calls)
	f.mu.Unlock()
	if calls > 500 {
		t.Errorf("%d calls for 1000 messages: they are not finished together", calls)
	}
	for payload, n := range f.timesEach() {
		if n > 2 {
			t.Errorf("%s was to be finished %d times", payload, n)
		}
	}
}

// A message whose finish waits is in hand, and holds up no other.
func TestConsumer_finishMayWaitAlone(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 10
	all := names("m", 40)
	b.push(all...)
	goOn := make(chan struct{})
	c := queue.NewConsumer(b.queue(b.url, silent()), open)
	c.Finish = func(_ context.Context, deliveries []*queue.Delivery) []error {
		errs := make([]error, len(deliveries))
		for i, d := range deliveries {
			switch {
			case string(d.Payload) != "m7":
			case len(deliveries) > 1:
				errs[i] = queue.ErrAlone
			default:
				<-goOn
			}
		}
		return errs
	}
	b.consume(c, func(context.Context, *queue.Delivery) error { return nil })
	testenv.Eventually(t, 10*time.Second, "all others are forgotten", func() bool {
		held := b.rdb.LRange(t.Context(), b.keys.Processing(b.firstInstance()), 0, -1).Val()
		return b.rdb.LLen(t.Context(), b.keys.Queue()).Val() == 0 && slices.Equal(held, []string{"m7"})
	})
	close(goOn)
	b.wantNoneInHand()
}

// Handlers that take their time run side by side, as many as there are slots, though their
// messages were claimed together; so do those that come after quick ones.
func TestConsumer_handlesAGangSideBySide(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 60
	b.push(names("quick", 100)...)
	b.push(names("slow", 60)...)
	var running atomic.Int64
	goOn := make(chan struct{})
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(_ context.Context, d *queue.Delivery) error {
		if strings.HasPrefix(string(d.Payload), "slow") {
			running.Add(1)
			<-goOn
		}
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "all slots are at work", func() bool { return running.Load() == 60 })
	close(goOn)
	b.wantNoneInHand()
}

// Whichever of the messages in hand are done first, those and no others are forgotten: the
// oldest, some in between, and copies of each other.
func TestConsumer_forgetsInAnyOrder(t *testing.T) {
	b := newBench(t)
	const hands = 40
	b.cfg.Concurrency = hands
	var all []string
	for n := range hands {
		all = append(all, fmt.Sprint("m", n/2)) // two of each
	}
	b.push(all...)
	var mu sync.Mutex
	held := map[string][]chan struct{}{} // by payload: ends one of its handlers
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		end := make(chan struct{})
		mu.Lock()
		held[string(d.Payload)] = append(held[string(d.Payload)], end)
		mu.Unlock()
		<-end
		return nil
	})
	left := func() []string { return b.list(b.keys.Processing(b.firstInstance())) }
	testenv.Eventually(t, 10*time.Second, "all are in hand", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(held) == hands/2 && len(left()) == hands
	})
	want := slices.Sorted(slices.Values(all))
	for _, together := range [][]string{{"m0", "m0", "m1"}, {"m5"}, {"m1", "m9", "m9"}, {"m2", "m2"}, {"m19", "m3", "m18", "m19"}} {
		mu.Lock()
		for _, payload := range together {
			close(held[payload][0])
			held[payload] = held[payload][1:]
			at := slices.Index(want, payload)
			want = slices.Delete(want, at, at+1)
		}
		mu.Unlock()
		testenv.Eventually(t, 5*time.Second, "they are forgotten", func() bool { return len(left()) <= len(want) })
		if got := slices.Sorted(slices.Values(left())); !slices.Equal(got, want) {
			t.Fatalf("after %v it holds\n%v, want\n%v", together, got, want)
		}
	}
	for _, ends := range held {
		for _, end := range ends {
			close(end)
		}
	}
	b.wantNoneInHand()
}

// While orders that are done are not finished, for so long as it takes, the work on others
// goes on: on as many as there are slots and one more.
func TestConsumer_worksOnWhileOthersAreFinished(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 3
	b.push(names("m", 50)...)
	goOn := make(chan struct{})
	c := queue.NewConsumer(b.queue(b.url, silent()), open)
	c.Finish = func(_ context.Context, all []*queue.Delivery) []error {
		<-goOn
		return make([]error, len(all))
	}
	var rec recorder
	b.consume(c, func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "seven are worked on", func() bool { return rec.count() >= 7 })
	<-time.After(time.Second) // it may look twice for strays meanwhile
	held := b.rdb.LLen(t.Context(), b.keys.Processing(b.firstInstance())).Val()
	if n := rec.count(); n != 7 || held != 7 {
		t.Errorf("%d were worked on, and %d are held, want 2 x 3 + 1", n, held)
	}
	close(goOn)
	testenv.Eventually(t, 10*time.Second, "all are worked on", func() bool { return rec.count() == 50 })
	b.wantNoneInHand()
}
