package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
	var now, most, worked atomic.Int64
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		defer worked.Add(1)
		defer now.Add(-1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		held := b.rdb.LLen(ctx, b.keys.Processing(b.instances()[0])).Val()
		left := 50 - b.rdb.LLen(ctx, b.keys.Queue()).Val() - worked.Load() // claimed, and not worked yet
		if left > int64(b.cfg.Concurrency) || held > 2*int64(b.cfg.Concurrency)+1 {
			t.Errorf("%d messages in the processing list, %d of them to work, want at most %d", held, left, b.cfg.Concurrency)
		}
		rec.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "all messages are handled", func() bool { return rec.count() == 50 })
	if most.Load() > int64(b.cfg.Concurrency) || most.Load() < 2 {
		t.Errorf("%d handlers at once, want 2 to %d", most.Load(), b.cfg.Concurrency)
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

// awaitAudits waits until the one consumer of this Redis has audited its list n times more.
// Each is an EXISTS that is no claim's, and a second one where the first found something.
func (b *bench) awaitAudits(n int) {
	b.Helper()
	audits := func() int {
		stats, err := b.rdb.Info(b.Context(), "commandstats").Result()
		must(b, err)
		calls := func(command string) int {
			_, rest, _ := strings.Cut(stats, "cmdstat_"+command+":calls=")
			text, _, _ := strings.Cut(rest, ",")
			n, _ := strconv.Atoi(text)
			return n
		}
		return calls("exists") - calls("blmove")
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
		if err := d.Start(ctx, false); err != nil {
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

// All keys are in one slot, and every command finds its node.
func TestConsumer_onACluster(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "--cluster-enabled", "yes")
	b := benchAt(t, server.URL(), "orders")
	must(t, b.rdb.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	testenv.Eventually(t, 10*time.Second, "the cluster is up", func() bool {
		info, err := b.rdb.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	rdb := queue.Dial(&redis.UniversalOptions{Addrs: []string{server.Addr()}, IsClusterMode: true}, b.cfg.Concurrency, b.cfg.MaxMessageBytes)
	t.Cleanup(rdb.Close)
	rdb.Measure(b.cfg.Metrics)
	must(t, rdb.Usable(t.Context(), "orders"))
	must(t, rdb.Fit(t.Context(), "orders"))
	q := queue.New(rdb, b.cfg, silent())
	b.run(queue.NewReaper(q).Run)
	b.run(queue.NewPromoter(q).Run)
	b.holding("dead-1", -time.Minute, "reaped")
	b.push(names("m", 20)...)
	b.push(names("easy", 20)...)
	var done, failed recorder
	c := queue.NewConsumer(q, open)
	f := finisher{say: func(string, int) error { return nil }}
	c.Finish = f.finish
	b.consume(c, func(ctx context.Context, d *queue.Delivery) error {
		heir, err := d.MayTakeOver(ctx)
		must(t, err)
		if err := d.Start(ctx, heir); err != nil {
			return err
		}
		if d.Number() == 1 && !strings.HasPrefix(string(d.Payload), "easy") {
			failed.note(d.Payload)
			return errors.New("once")
		}
		done.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 20*time.Second, "all messages are handled, those that are not easy at their second delivery", func() bool { return done.count() == 41 })
	if failed.count() != 20 {
		t.Errorf("%d first deliveries, want 20: the dead worker's was charged", failed.count())
	}
	for _, command := range []string{"blmove", "start", "retry", "reap"} {
		if b.counted(`fulfillment_redis_call_duration_seconds_count{command="`+command+`"}`) == 0 {
			t.Errorf("no round trip of %s is measured", command)
		}
	}
}

// A claim of many takes each message once, the oldest first, wherever some lie among them
// that are too long: those are dead letters that no handler sees.
func TestConsumer_claimsUpToWhatIsTooLong(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 50
	all := names("m", 200)
	long := strings.Repeat("x", b.cfg.MaxMessageBytes+1)
	for i, payload := range all {
		switch i {
		case 3, 4, 20, 90, 199:
			b.push(long + payload)
		}
		b.push(payload)
	}
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		return nil
	})
	testenv.Eventually(t, 20*time.Second, "all are settled", func() bool { return rec.count() >= len(all) && len(b.dead()) == 5 })
	b.wantNoneInHand()
	seen := rec.all()
	slices.Sort(seen)
	slices.Sort(all)
	if !slices.Equal(seen, all) {
		t.Errorf("the handlers saw %d messages, want %d, each once: %.300q", len(seen), len(all), seen)
	}
}

// A user of Redis who may not do all that a claim does moves nothing by half: no message is
// in two lists, and none is lost.
func TestConsumer_claimsNothingByHalf(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 20
	user := "by-half-of-" + b.cfg.Name
	must(t, b.rdb.Do(t.Context(), "ACL", "SETUSER", user, "on", "nopass", "~*", "&*", "+@all", "-ltrim").Err())
	t.Cleanup(func() { b.rdb.Do(context.WithoutCancel(t.Context()), "ACL", "DELUSER", user) })
	all := names("m", 50)
	b.push(all...)
	var rec recorder
	goOn := make(chan struct{})
	opts := b.rdb.Options()
	rdb := queue.Dial(&redis.UniversalOptions{Addrs: []string{opts.Addr}, DB: opts.DB, Username: user, Password: "x"}, b.cfg.Concurrency, b.cfg.MaxMessageBytes)
	b.Cleanup(rdb.Close)
	c := queue.NewConsumer(queue.New(rdb, b.cfg, silent()), open)
	b.consume(c, func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		<-goOn
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "one is in hand, by BLMOVE", func() bool { return rec.count() > 0 })
	testenv.Eventually(t, 10*time.Second, "the next claim is refused", func() bool { return c.Claiming() != nil })
	got := append(b.list(b.keys.Queue()), b.list(b.keys.Processing(b.firstInstance()))...)
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		t.Errorf("the lists hold %q, want each message once", got)
	}
	close(goOn)
}

// Who has emptied the queue waits for the next message, and asks for no more beside it.
func TestConsumer_asksForMoreWhereMoreWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		messages    [][]string // those that come together
		least, most float64    // questions
	}{
		"one by one": {[][]string{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}}, 0, 0},
		"together":   {[][]string{{"a", "b", "c", "d", "e"}}, 1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			rec := &recorder{}
			b.consume(queue.NewConsumer(b.measured(b.url), open), func(_ context.Context, d *queue.Delivery) error {
				rec.note(d.Payload)
				return nil
			})
			come := 0
			for _, together := range tt.messages {
				b.push(together...)
				come += len(together)
				testenv.Eventually(t, 5*time.Second, "they are handled", func() bool { return rec.count() == come })
			}
			if n := b.counted(`fulfillment_redis_call_duration_seconds_count{command="claim"}`); n < tt.least || n > tt.most {
				t.Errorf("more was asked for %v times, want %v to %v", n, tt.least, tt.most)
			}
		})
	}
}
