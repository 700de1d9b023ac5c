package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

func names(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%d", prefix, i))
	}
	return all
}

func TestConsumer_firstInFirstOut(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 1
	want := names("m", 20)
	b.push(want...)
	var rec recorder
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 5*time.Second, "all messages are handled", func() bool { return rec.count() == 20 })
	stop()
	if got := rec.all(); !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
	b.wantKeys(b.keys.Events())
}

func TestConsumer_neverHoldsMoreThanItCanStart(t *testing.T) {
	b := newBench(t)
	b.push(names("m", 50)...)
	var now, most atomic.Int64
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		defer now.Add(-1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		held := b.rdb.LLen(ctx, b.keys.Processing(b.instances()[0])).Val()
		if held > int64(b.cfg.Concurrency) {
			t.Errorf("%d messages in the processing list, want at most %d", held, b.cfg.Concurrency)
		}
		rec.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "all messages are handled", func() bool { return rec.count() == 50 })
	if most.Load() > int64(b.cfg.Concurrency) || most.Load() < 2 {
		t.Errorf("%d handlers at once, want 2 to %d", most.Load(), b.cfg.Concurrency)
	}
}

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
				inHand := b.rdb.LLen(t.Context(), b.keys.Processing(b.firstInstance())).Val()
				waiting := b.rdb.LLen(t.Context(), b.keys.Queue()).Val() + b.rdb.ZCard(t.Context(), b.keys.Delayed()).Val()
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

// A claim whose reply is lost leaves the message in the list of a worker that lives
// and does not know of it: the worker's audit must find it, for no reaper will.
func TestConsumer_adoptsWhatALostReplyLeftBehind(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		t.Run(fmt.Sprintf("concurrency %d", concurrency), func(t *testing.T) {
			b := newBench(t)
			b.cfg.Concurrency = concurrency
			b.cfg.Lease = 30 * time.Second // no net but the audit
			proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
			var rec recorder
			b.consume(queue.NewConsumer(b.queue("redis://"+proxy.Addr(), silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if err := d.Start(ctx); err != nil {
					return err
				}
				rec.note(d.Payload)
				return nil
			})
			testenv.Eventually(t, 5*time.Second, "the worker joins", func() bool { return len(b.instances()) == 1 })
			isMessage := func(reply []byte) bool { return len(reply) > 1 && reply[0] == '$' && reply[1] != '-' }
			const rounds = 10
			for i := range rounds {
				proxy.LoseReplies(1, "blmove", isMessage)
				message := fmt.Sprintf("m%d", i)
				pushed := time.Now()
				b.push(message)
				testenv.Eventually(t, 5*time.Second, message+" is handled", func() bool { return slices.Contains(rec.all(), message) })
				if took := time.Since(pushed); proxy.Lost() > 0 && took > 2*time.Second {
					t.Errorf("%s was adopted after %v, want at most 2s", message, took)
				}
				if proxy.Lost() != 1 {
					t.Errorf("%d replies lost, want 1: the fault did not happen", proxy.Lost())
				}
				if n := b.charged(message); n != 0 {
					t.Errorf("%s was charged %d deliveries, want 0", message, n)
				}
			}
			if rec.count() != rounds {
				t.Errorf("%d deliveries of %d messages, want each once", rec.count(), rounds)
			}
		})
	}
}

func TestConsumer_handsBackAtShutdown(t *testing.T) {
	b := newBench(t)
	b.cfg.ShutdownTimeout = 100 * time.Millisecond
	held := names("held", b.cfg.Concurrency)
	b.push(append(held, "waiting")...)
	var causes recorder
	var started atomic.Int64
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		must(t, d.Start(ctx))
		started.Add(1)
		<-ctx.Done()
		causes.note([]byte(context.Cause(ctx).Error()))
		return ctx.Err()
	})
	testenv.Eventually(t, 5*time.Second, "all slots are busy", func() bool { return started.Load() == int64(b.cfg.Concurrency) })
	start := time.Now()
	stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if got, want := b.list(b.keys.Queue()), append(held, "waiting"); !slices.Equal(got, want) {
		t.Errorf("the queue holds %v, want %v", got, want)
	}
	for _, cause := range causes.all() {
		if cause != queue.ErrShutdown.Error() {
			t.Errorf("a handler was cancelled with %q, want %q", cause, queue.ErrShutdown)
		}
	}
	for _, m := range held {
		if n := b.charged(m); n != 0 {
			t.Errorf("%s was charged %d deliveries, want 0", m, n)
		}
		if !b.rdb.SIsMember(t.Context(), b.keys.Redelivered(), queue.Digest([]byte(m))).Val() {
			t.Errorf("%s may not be taken over by the next worker", m)
		}
	}
	b.wantKeys(b.keys.Queue(), b.keys.Events(), b.keys.Redelivered())
}

func TestConsumer_letsWorkFinishAtShutdown(t *testing.T) {
	b := newBench(t)
	b.push("m")
	started, finish := make(chan struct{}), make(chan struct{})
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		close(started)
		<-finish
		return ctx.Err() // nil: it was let alone
	})
	<-started
	go close(finish)
	stop()
	b.wantKeys(b.keys.Events())
	if got := b.events(); got != "joined left" {
		t.Errorf("events %q", got)
	}
}

// A worker that finds its lease gone cancels what it holds and joins anew; the message
// is delivered again.
func TestConsumer_joinsAnewWhenItsLeaseIsLost(t *testing.T) {
	tests := []struct {
		name string
		lose func(b *bench, instance string) error
	}{
		{"it was condemned", func(b *bench, instance string) error {
			return b.rdb.ZAdd(b.Context(), b.keys.Workers(), zero(instance)).Err()
		}},
		{"its registration is gone", func(b *bench, _ string) error {
			return b.rdb.Del(b.Context(), b.keys.Workers()).Err()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.push("m")
			var causes recorder
			deliveries := make(chan struct{}, 10)
			b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if err := d.Start(ctx); err != nil {
					return err
				}
				deliveries <- struct{}{}
				if len(causes.all()) > 0 {
					return nil
				}
				<-ctx.Done()
				causes.note([]byte(context.Cause(ctx).Error()))
				return ctx.Err()
			})
			<-deliveries
			old := b.firstInstance()
			must(t, tt.lose(b, old))
			<-deliveries
			if got := causes.all(); len(got) != 1 || got[0] != queue.ErrLeaseLost.Error() {
				t.Errorf("the handler was cancelled with %q, want %q", got, queue.ErrLeaseLost)
			}
			if n := b.charged("m"); n != 0 {
				t.Errorf("charged %d deliveries, want 0: nobody died", n)
			}
			testenv.Eventually(t, 5*time.Second, "only the new instance is registered", func() bool {
				all := b.instances()
				return len(all) == 1 && all[0] != old
			})
		})
	}
}

func TestDelivery_startsNothingUnderALostLease(t *testing.T) {
	b := newBench(t)
	b.cfg.Lease = 30 * time.Second // no beat tells it meanwhile
	b.push("m")
	results := make(chan error, 10)
	var old string
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		if old == "" {
			old = b.firstInstance()
			must(t, b.rdb.ZAdd(ctx, b.keys.Workers(), zero(old)).Err())
		}
		err := d.Start(ctx)
		results <- err
		return err
	})
	if err := <-results; !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("Start returned %v, want %v", err, queue.ErrLeaseLost)
	}
	if err := <-results; err != nil { // anew, long before the next beat
		t.Errorf("Start returned %v the second time", err)
	}
	if n := b.charged("m"); n != 0 {
		t.Errorf("charged %d deliveries, want 0", n)
	}
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
				must(t, d.Start(ctx))
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
			if !b.rdb.HExists(t.Context(), worker, "order:"+queue.Digest([]byte("twin"))).Val() {
				t.Errorf("nothing says any more that the first copy is being worked on")
			}
			close(finish)
			stop()
			if got := b.list(b.keys.Queue()); len(got) != 0 {
				t.Errorf("handed back: %v", got)
			}
		})
	}
}

func TestConsumer_claimsNothingWhileItCannotWork(t *testing.T) {
	tests := []struct {
		name string
		shut func(b *bench, gate *atomic.Bool)
		open func(b *bench, gate *atomic.Bool)
	}{
		{"the gate is shut", func(_ *bench, g *atomic.Bool) { g.Store(false) }, func(_ *bench, g *atomic.Bool) { g.Store(true) }},
		{
			"the queue is paused",
			func(b *bench, _ *atomic.Bool) { must(b, b.rdb.Set(b.Context(), b.keys.Paused(), "me", 0).Err()) },
			func(b *bench, _ *atomic.Bool) { must(b, b.rdb.Del(b.Context(), b.keys.Paused()).Err()) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
			var gate atomic.Bool
			gate.Store(true)
			var rec recorder
			b.consume(queue.NewConsumer(b.queue(b.url, silent()), func() <-chan struct{} {
				if gate.Load() {
					return always
				}
				return nil
			}), func(_ context.Context, d *queue.Delivery) error {
				rec.note(d.Payload)
				return nil
			})
			b.push("before")
			testenv.Eventually(t, 5*time.Second, "a message is handled", func() bool { return rec.count() == 1 })
			tt.shut(b, &gate)
			b.awaitAudits(2) // at most two seconds, as promised
			b.push("meanwhile")
			b.awaitAudits(2)
			if rec.count() != 1 {
				t.Errorf("it claimed all the same")
			}
			tt.open(b, &gate)
			testenv.Eventually(t, 5*time.Second, "the message is handled", func() bool { return rec.count() == 2 })
		})
	}
}

// awaitAudits waits until the one consumer of this Redis has audited its list n times
// more.
func (b *bench) awaitAudits(n int) {
	b.Helper()
	audits := func() int {
		stats, err := b.rdb.Info(b.Context(), "commandstats").Result()
		must(b, err)
		_, rest, _ := strings.Cut(stats, "cmdstat_llen:calls=")
		calls, _, _ := strings.Cut(rest, ",")
		made, _ := strconv.Atoi(calls)
		return made
	}
	before := audits()
	testenv.Eventually(b.T, time.Duration(n+5)*time.Second, "enough audits are made", func() bool { return audits() >= before+n })
}

// A Redis whose memory is full refuses BLMOVE. If nothing were claimed then, nothing
// would ever be freed.
func TestConsumer_drainsAFullRedis(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	b.push(names("m", 50)...)
	must(t, b.rdb.ConfigSet(t.Context(), "maxmemory", "100kb").Err())
	if err := b.rdb.LPush(t.Context(), b.keys.Queue(), "more").Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("a push answers %v: the memory is not full", err)
	}
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		if err := d.Start(ctx); err != nil {
			return err
		}
		rec.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "all messages are handled", func() bool { return rec.count() == 50 })
}

func TestConsumer_isPausedFromItsFirstClaim(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	b.push("m")
	must(t, b.rdb.Set(t.Context(), b.keys.Paused(), "me", 0).Err())
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		return nil
	})
	b.awaitAudits(2)
	if rec.count() != 0 {
		t.Errorf("it claimed all the same")
	}
}

// A pause that comes while every slot is busy holds for the slot that becomes free.
func TestConsumer_isPausedWhileBusy(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	b.push(names("m", b.cfg.Concurrency+1)...)
	var started atomic.Int64
	finish := make(chan struct{})
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(context.Context, *queue.Delivery) error {
		started.Add(1)
		<-finish
		return nil
	})
	testenv.Eventually(t, 5*time.Second, "every slot is busy", func() bool { return int(started.Load()) == b.cfg.Concurrency })
	must(t, b.rdb.Set(t.Context(), b.keys.Paused(), "me", 0).Err())
	b.awaitAudits(2)
	close(finish)
	b.awaitAudits(2)
	if n := int(started.Load()); n != b.cfg.Concurrency {
		t.Errorf("%d messages were claimed, want %d", n, b.cfg.Concurrency)
	}
}
