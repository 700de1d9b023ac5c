package inspect

import (
	"context"
	"testing"
	"time"

	"fulfillment-worker/internal/metrics"

	"github.com/redis/go-redis/v9"
)

// beat is a heartbeat by which a worker has fulfilled so many.
func (b *bench) beat(instance string, at time.Time, fulfilled uint64) {
	b.t.Helper()
	working := make(metrics.Histogram, metrics.Buckets)
	working[3] = fulfilled
	must(b.t, b.rdb.HSet(b.t.Context(), b.keys.Worker(instance), "beat_at", at.UnixMilli(),
		"tally", metrics.Tally{Fulfilled: fulfilled, Working: working}.String()).Err())
}

func running(t *testing.T, b *bench) *Live {
	l := NewLive(b.Inspector)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return l
}

func TestLive_tellsRates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	start := time.Now()
	b.join("a-1", lease)
	b.beat("a-1", start, 100)
	l := running(t, b)
	looks := 0
	for f := range l.Watch(t.Context()) {
		if f.Error != "" {
			t.Fatal(f.Error)
		}
		switch last := f.Samples[len(f.Samples)-1]; {
		case looks == 0 && last.Fulfilled != 0:
			t.Fatalf("at the first look %v a second were fulfilled, and nobody knows since when", last.Fulfilled)
		case looks == 0:
			b.beat("a-1", start.Add(2*time.Second), 300)
		case last.Fulfilled == 100:
			if got := last.WorkedP50.Duration(); got < 4*time.Millisecond || got > 8*time.Millisecond {
				t.Errorf("half of the work took at most %v, want 4 to 8 ms", got)
			}
			return
		case looks > 10:
			t.Fatalf("the rate is %v a second, want 100", last.Fulfilled)
		}
		looks++
	}
}

func TestLive_tellsEachEventOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	happen := func(event string) {
		must(t, b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: b.keys.Events(), Values: []string{"event", event}}).Err())
	}
	happen("first")
	l := running(t, b)
	seen := map[string]int{}
	frames := 0
	for f := range l.Watch(t.Context()) {
		for _, e := range f.Events {
			seen[e.Kind]++
		}
		if frames++; frames == 1 {
			happen("second")
		}
		if frames == 4 {
			break
		}
	}
	if seen["first"] != 1 || seen["second"] != 1 {
		t.Errorf("it told of %v, want each once", seen)
	}
	for f := range l.Watch(t.Context()) { // who comes later is told all
		if len(f.Events) != 2 || len(f.Samples) < 3 {
			t.Errorf("a late watcher is told of %d events and %d samples", len(f.Events), len(f.Samples))
		}
		break
	}
}

func TestLive_asksOnceForAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := running(t, b)
	before := testingLooks(l)
	for range 50 {
		l.Latest(t.Context())
	}
	if looks := testingLooks(l) - before; looks > 3 {
		t.Errorf("50 questions cost %d looks", looks)
	}
}

// testingLooks is how many looks there were.
func testingLooks(l *Live) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.samples)
}

func TestLive_outlivesRedis(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(3)
	l := NewLive(b.Inspector)
	if f := l.Latest(t.Context()); f.Error != "" || f.Waiting != 3 {
		t.Fatalf("it sees %d messages, %s", f.Waiting, f.Error)
	}
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = gone.Close() })
	b.Inspector.rdb = gone
	l.lookedAt = time.Time{}
	if f := l.Latest(t.Context()); f.Error == "" || f.Waiting != 3 {
		t.Errorf("without Redis it sees %d messages, error %q; want the last picture, and why", f.Waiting, f.Error)
	}
}

// A look that nobody watched does not ask PostgreSQL; a watcher is not shown its orders as
// if there were none.
func TestLive_showsAWatcherWhatPostgresSays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(1)
	b.join("a-1", lease)
	b.begin("a-1", b.claim("a-1"), 1, time.Second)
	l := running(t, b)
	l.Latest(t.Context())
	for f := range l.Watch(t.Context()) {
		if got := f.Workers[0].Orders[0].Status; got != "pending" {
			t.Errorf("the first frame has the order %q, want pending", got)
		}
		break
	}
}

// However often somebody comes and goes, there is a look a second.
func TestLive_looksOnceASecond(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := running(t, b)
	began := time.Now()
	for visits := 0; time.Since(began) < 2500*time.Millisecond; visits++ {
		ctx, leave := context.WithTimeout(t.Context(), 20*time.Millisecond)
		for range l.Watch(ctx) {
		}
		leave()
	}
	if looks := testingLooks(l); looks > 4 {
		t.Errorf("within %v there were %d looks", time.Since(began), looks)
	}
}
