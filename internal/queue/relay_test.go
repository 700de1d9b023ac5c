package queue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// relayed is a worker with one slot that goes through a backlog.
type relayed struct {
	*bench
	handle   func(payload string)
	relay    func(done, next string) error // what becomes of the one that is done
	finisher finisher                      // of what is not finished by a relay
	gate     atomic.Bool
	rec      recorder
	stop     func()
}

func (b *bench) relayed() *relayed {
	b.cfg.Concurrency = 1
	r := &relayed{
		bench: b, relay: func(string, string) error { return nil },
		finisher: finisher{say: func(string, int) error { return nil }},
		handle:   func(string) { <-time.After(time.Millisecond) }, // the claim loop is through by then
	}
	r.gate.Store(true)
	return r
}

func (r *relayed) consume(url string) {
	c := queue.NewConsumer(r.measured(url), func() <-chan struct{} {
		if r.gate.Load() {
			return always
		}
		return nil
	})
	c.Finish = r.finisher.finish
	c.Relay = func(_ context.Context, done, next *queue.Delivery) error {
		return r.relay(string(done.Payload), string(next.Payload))
	}
	r.stop = r.bench.consume(c, func(_ context.Context, d *queue.Delivery) error {
		r.handle(string(d.Payload))
		r.rec.note(d.Payload)
		return nil
	})
}

// awaitEnd waits until nothing waits and nothing is in hand, and stops the worker.
func (r *relayed) awaitEnd() {
	r.Helper()
	testenv.Eventually(r.T, 20*time.Second, "all is done", func() bool {
		return len(r.instances()) == 1 && r.rdb.Exists(r.Context(), r.keys.Queue(), r.keys.Processing(r.firstInstance())).Val() == 0
	})
	r.stop()
}

// list is what the worker holds.
func (r *relayed) list() []string {
	r.Helper()
	return r.rdb.LRange(r.Context(), r.keys.Processing(r.firstInstance()), 0, -1).Val()
}

// taken is how many messages were claimed by who had just worked on another.
func (r *relayed) taken() float64 {
	return r.counted(`fulfillment_redis_call_duration_seconds_count{command="lmove"}`)
}

// Who has done the work on an order takes the next for its slot: each once, in their order, and
// each is finished once, and not forgotten before.
func TestConsumer_relays(t *testing.T) {
	b := newBench(t)
	want := names("m", 200)
	b.push(want...)
	r := b.relayed()
	r.handle = func(string) {
		if held := r.list(); len(held) > 3 {
			t.Errorf("%v are in the list, want the one in hand, and two that are done", held)
		}
	}
	relays := 0
	r.relay = func(done, next string) error {
		relays++
		if held := r.list(); !slices.Contains(held, done) || !slices.Contains(held, next) {
			t.Errorf("when %s shall be finished and %s prepared, %v are in the list", done, next, held)
		}
		return nil
	}
	r.consume(b.url)
	r.awaitEnd()
	if got := r.rec.all(); !slices.Equal(got, want) {
		t.Errorf("handled: %v, want %v", got, want)
	}
	if n := r.taken(); relays < 20 || n < float64(relays) { // the claim loop is quicker now and then
		t.Errorf("%d relays by %v claims, want many of 200", relays, n)
	}
	if n := relays + len(r.finisher.timesEach()); n != len(want) {
		t.Errorf("%d were finished, want each once", n)
	}
}

// What becomes of an order that its relay has not finished is no matter of the next one: it
// goes on by itself.
func TestConsumer_relaysPastWhatIsNotFinished(t *testing.T) {
	tests := []struct {
		name     string
		relay    func() error
		finishes int // of each by itself
		retried  bool
	}{
		{"not together", func() error { return queue.ErrAlone }, 1, false},
		{"it panics", func() error { panic("the relay") }, 1, false},
		{"it fails", func() error { return errors.New("not this one") }, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.RetryInitial, b.cfg.RetryMax = time.Hour, time.Hour
			want := names("m", 50)
			b.push(want...)
			r := b.relayed()
			odd := map[string]bool{}
			r.relay = func(done, _ string) error {
				if strings.HasSuffix(done, "7") {
					odd[done] = true
					return tt.relay()
				}
				return nil
			}
			r.consume(b.url)
			r.awaitEnd()
			if got := r.rec.all(); !slices.Equal(got, want) {
				t.Errorf("handled: %v, want %v", got, want)
			}
			if len(odd) == 0 {
				t.Fatal("the fault did not happen")
			}
			for done := range odd {
				if n := r.finisher.timesEach()[done]; n != tt.finishes {
					t.Errorf("%s was finished %d times by itself, want %d", done, n, tt.finishes)
				}
				retried := b.rdb.ZScore(t.Context(), b.keys.Delayed(), done).Err() == nil
				if retried != tt.retried {
					t.Errorf("%s will be tried again: %v, want %v", done, retried, tt.retried)
				}
			}
		})
	}
}

// As long as orders that are done cannot be finished, a worker with one slot holds the messages
// of two of them beside the one in hand, and no more.
func TestConsumer_relaysNoMoreThanItMayHold(t *testing.T) {
	b := newBench(t)
	b.push(names("m", 50)...)
	r := b.relayed()
	r.relay = func(string, string) error { return queue.ErrAlone }
	away := make(chan struct{})
	r.finisher.say = func(string, int) error { <-away; return nil }
	r.consume(b.url)
	testenv.Eventually(t, 10*time.Second, "it holds three", func() bool { return len(b.instances()) == 1 && len(r.list()) >= 3 })
	<-time.After(time.Second) // it may look twice for strays meanwhile
	if held := r.list(); len(held) != 3 {
		t.Errorf("it holds %v, want three", held)
	}
	close(away)
	r.awaitEnd()
	if n := len(r.finisher.timesEach()); n != 50 {
		t.Errorf("%d were finished, want all", n)
	}
}

// What stops the claim loop stops relays, too: within an audit where only Redis knows.
func TestConsumer_relaysNothingWhileItMayNotClaim(t *testing.T) {
	for name, stop := range map[string]func(*relayed){
		"the gate is shut":    func(r *relayed) { r.gate.Store(false) },
		"the queue is paused": func(r *relayed) { must(r, r.rdb.Set(r.Context(), r.keys.Paused(), "me", 0).Err()) },
		"the worker stops":    func(r *relayed) { r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.push(names("m", 1000)...)
			r := b.relayed()
			r.handle = func(string) { <-time.After(5 * time.Millisecond) }
			r.consume(b.url)
			testenv.Eventually(t, 10*time.Second, "it relays", func() bool { return r.taken() > 20 })
			stop(r)
			<-time.After(2 * time.Second)
			before := r.rec.count()
			<-time.After(time.Second)
			if n := r.rec.count(); n != before || n == 1000 {
				t.Errorf("%d messages were handled, and %d a second later", before, n)
			}
		})
	}
}

// The answer to a relay's claim is lost: the message that was claimed is taken in hand at once,
// the one that was done is finished, and each is handled once.
func TestConsumer_relaysWhoseAnswersAreLost(t *testing.T) {
	const relay = "\nlmove" // and no BLMOVE: a loss of its own would have the list looked at
	for name, lose := range map[string]func(p *testenv.Proxy){
		"the answer is lost":  func(p *testenv.Proxy) { p.LoseReplies(5, relay, nil) },
		"the answer is torn":  func(p *testenv.Proxy) { p.TearReplies(5, 5, relay, nil) },
		"the request is lost": func(p *testenv.Proxy) { p.LoseRequests(5, relay) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Lease = 30 * time.Second
			proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
			want := names("m", 1000)
			b.push(want...)
			lose(proxy)
			r := b.relayed()
			r.consume("redis://" + proxy.Addr())
			r.awaitEnd()
			if got := r.rec.all(); !slices.Equal(got, want) {
				t.Errorf("%d were handled, of which some more than once or out of their order: %v", len(got), got)
			}
			if proxy.Lost() != 5 {
				t.Errorf("%d were lost, want 5: the fault did not happen", proxy.Lost())
			}
		})
	}
}

// A relay meets a message that is too long: it is a dead letter, and the worker goes on.
func TestConsumer_relaysUpToWhatIsTooLong(t *testing.T) {
	b := newBench(t)
	b.push(names("m", 20)...)
	b.push(strings.Repeat("x", b.cfg.MaxMessageBytes+1))
	b.push(names("n", 20)...)
	r := b.relayed()
	r.consume(b.url)
	testenv.Eventually(t, 20*time.Second, "all is done", func() bool { return r.rec.count() == 40 && len(b.dead()) == 1 })
	if got, want := r.rec.all(), append(names("m", 20), names("n", 20)...); !slices.Equal(got, want) {
		t.Errorf("handled: %v, want %v", got, want)
	}
}
