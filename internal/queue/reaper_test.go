package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

func zero(instance string) redis.Z { return redis.Z{Score: 0, Member: instance} }

// holding makes an instance that holds the payloads, the first taken first; its lease ends
// then.
func (b *bench) holding(instance string, lease time.Duration, payloads ...string) {
	b.Helper()
	ctx := b.Context()
	for _, p := range payloads {
		must(b, b.rdb.LPush(ctx, b.keys.Processing(instance), p).Err())
	}
	must(b, b.rdb.HSet(ctx, b.keys.Worker(instance), "host", "h").Err())
	now, err := b.rdb.Time(ctx).Result()
	must(b, err)
	must(b, b.rdb.ZAdd(ctx, b.keys.Workers(), redis.Z{Score: float64(now.Add(lease).UnixMilli()), Member: instance}).Err())
}

// script runs one of the scripts.
func (b *bench) script(name string, keys []string, args ...any) *redis.Cmd {
	return b.rdb.EvalSha(b.Context(), b.load(name), keys, args...)
}

// load has Redis know a script, and returns by what.
func (b *bench) load(name string) (sha string) {
	source, err := os.ReadFile("lua/" + name)
	must(b, err)
	sha, err = b.rdb.ScriptLoad(b.Context(), string(source)).Result()
	must(b, err)
	return sha
}

// reap makes one step of a reaper that moves so many messages at most.
func (b *bench) reap(instance string, limit int) []int64 {
	k := b.keys
	answer, err := b.script("reap.lua", []string{
		k.Workers(), k.Worker(instance), k.Queue(), k.Deliveries(), k.Returned(), k.Dead(), k.Events(), k.Processing(instance),
	}, instance, limit, "reaper", 1000).Int64Slice()
	must(b, err)
	return answer
}

func TestReaper_givesBack(t *testing.T) {
	tests := []struct {
		name   string
		held   int
		marked int // of these, as come back from somebody before
		lease  time.Duration
	}{
		{"what it held", 3, 0, -time.Millisecond},
		{"what came back from somebody before, and it had not begun", 3, 2, -time.Millisecond},
		{"empty hands", 0, 0, -time.Millisecond},
		{"more than two runs of the script", 450, 0, -time.Millisecond},
		{"a living worker keeps what it has", 3, 0, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			held := names("held", tt.held)
			b.push("waiting")
			b.holding("dead-1", tt.lease, held...)
			for _, p := range held[:tt.marked] {
				b.mark(p, "returned")
			}
			reaper := queue.NewReaper(b.queue(b.url, silent()))
			for range 2 { // the second turn changes nothing
				must(t, reaper.Turn(t.Context()))
			}
			if tt.lease > 0 {
				if got := b.list(b.keys.Processing("dead-1")); !slices.Equal(got, held) || len(b.instances()) != 1 {
					t.Errorf("it holds %v, want %v", got, held)
				}
				return
			}
			if got := b.instances(); len(got) > 0 {
				t.Errorf("still registered: %v", got)
			}
			if got, want := b.list(b.keys.Queue()), append(slices.Clone(held), "waiting"); !slices.Equal(got, want) {
				t.Errorf("the queue holds %v, want %v", got, want)
			}
			for i, p := range held {
				want := "died dead-1"
				if i < tt.marked {
					want = "returned"
				}
				if got := b.marked(p); got != want {
					t.Errorf("%s is marked %q, want %q", p, got, want)
				}
				if got := b.charged(p); got != 0 {
					t.Errorf("%s was charged %d deliveries, want none yet", p, got)
				}
			}
			if n := b.rdb.Exists(t.Context(), b.keys.Worker("dead-1"), b.keys.Processing("dead-1")).Val(); n != 0 {
				t.Errorf("%d keys of the dead worker are left", n)
			}
		})
	}
}

func TestReaper_waitsOneLeaseAfterItsFirstContact(t *testing.T) {
	b := newBench(t)
	b.cfg.Lease = 2 * time.Second
	b.holding("late-1", -time.Hour, "m") // as after an outage: over, but nobody has died
	start := time.Now()
	b.run(queue.NewReaper(b.queue(b.url, silent())).Run)
	testenv.Eventually(t, 10*time.Second, "it is reaped", func() bool { return len(b.instances()) == 0 })
	if took := time.Since(start); took < b.cfg.Lease {
		t.Errorf("reaped after %v, want one lease of grace, %v", took, b.cfg.Lease)
	}
}

func TestReaper_findsOrphansWithoutRegistration(t *testing.T) {
	b := newBench(t)
	b.holding("dead-1", 0, "m1", "m2")
	must(t, b.rdb.HSet(t.Context(), b.keys.Worker("dead-2"), "host", "h").Err()) // left no list, only this
	must(t, b.rdb.Del(t.Context(), b.keys.Workers()).Err())
	b.run(queue.NewReaper(b.queue(b.url, silent())).Run)
	testenv.Eventually(t, 10*time.Second, "the messages are back", func() bool {
		return slices.Equal(b.list(b.keys.Queue()), []string{"m1", "m2"})
	})
	testenv.Eventually(t, 5*time.Second, "nothing else is left", func() bool {
		n := b.rdb.Exists(t.Context(), b.keys.Worker("dead-1"), b.keys.Worker("dead-2"), b.keys.Workers(), b.keys.Processing("dead-1")).Val()
		return n == 0
	})
	if got := b.marked("m1"); got != "died dead-1" {
		t.Errorf("m1 is marked %q, want died dead-1", got)
	}
}

func TestReaper_twoAtOnceMoveEachMessageOnce(t *testing.T) {
	b := newBench(t)
	want := names("m", 1000)
	b.holding("dead-1", -time.Millisecond, want...)
	for range 4 {
		b.run(queue.NewReaper(b.queue(b.url, silent())).Run)
	}
	testenv.Eventually(t, 10*time.Second, "the dead worker is gone", func() bool { return len(b.instances()) == 0 })
	if got := b.list(b.keys.Queue()); !slices.Equal(got, want) {
		t.Errorf("the queue holds %d messages, want the %d in their order", len(got), len(want))
	}
}

// A message lives in one place at every instant, whatever is done to it: a look at all
// places at once never sees none or two.
func TestQueue_eachMessageIsInOnePlace(t *testing.T) {
	b := newBench(t)
	b.cfg.RetryInitial, b.cfg.RetryMax, b.cfg.MaxDeliveries = time.Millisecond, 2*time.Millisecond, 1_000_000
	const n = 40
	b.push(names("m", n)...)
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for i := range 3 {
		q := b.queue(b.url, silent())
		b.run(queue.NewPromoter(q).Run)
		b.run(queue.NewReaper(q).Run)
		workers.Go(func() {
			for ctx.Err() == nil { // it comes and goes
				short, stop := context.WithTimeout(ctx, time.Duration(200+i*70)*time.Millisecond)
				_ = queue.NewConsumer(q, open).Consume(short, func(ctx context.Context, d *queue.Delivery) error {
					if err := d.Start(ctx, false); err != nil {
						return err
					}
					return fmt.Errorf("again")
				})
				stop()
			}
		})
	}
	census := redis.NewScript(`
		local seen = {}
		local function count(payload) seen[payload] = (seen[payload] or 0) + 1 end
		for _, p in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do count(p) end
		for _, p in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do count(p) end
		for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
			for _, p in ipairs(redis.call('LRANGE', key, 0, -1)) do count(p) end
		end
		local wrong = {}
		for i = 0, tonumber(ARGV[2]) - 1 do
			if seen['m' .. i] ~= 1 then wrong[#wrong + 1] = 'm' .. i .. ': ' .. (seen['m' .. i] or 0) end
		end
		return wrong`)
	looks := 0
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); looks++ {
		wrong, err := census.Run(t.Context(), b.rdb, []string{b.keys.Queue(), b.keys.Delayed()}, b.keys.ProcessingPattern(), n).StringSlice()
		must(t, err)
		if len(wrong) > 0 {
			t.Fatalf("places of messages: %v, want one each", wrong)
		}
	}
	cancel()
	workers.Wait()
	if looks < 100 {
		t.Errorf("only %d looks", looks)
	}
}

// One instance that cannot be reaped shields no other.
func TestReaper_goesOnAfterARefusal(t *testing.T) {
	b := newBench(t)
	b.holding("bad-1", -time.Hour)
	must(t, b.rdb.Set(t.Context(), b.keys.Processing("bad-1"), "no list", 0).Err())
	b.holding("dead-1", -time.Minute, "m1")
	reaper := queue.NewReaper(b.queue(b.url, silent()))
	if err := reaper.Turn(t.Context()); err == nil {
		t.Errorf("the refusal is not reported")
	}
	if got := b.list(b.keys.Queue()); !slices.Equal(got, []string{"m1"}) {
		t.Errorf("the queue holds %v, want m1", got)
	}
}

// A message so long that reading it may have killed its worker is not sent to the next.
func TestReaper_buriesWhatIsTooLong(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", b.cfg.MaxMessageBytes+1)
	b.holding("dead-1", -time.Minute, "m1", long)
	must(t, queue.NewReaper(b.queue(b.url, silent())).Turn(t.Context()))
	if got := b.list(b.keys.Queue()); !slices.Equal(got, []string{"m1"}) {
		t.Errorf("the queue holds %d messages, want m1", len(got))
	}
	if letters := b.dead(); len(letters) != 1 || letters[0]["reason"] != "too_large" || letters[0]["payload"] != long {
		t.Errorf("%d dead letters, want the long message as too_large", len(letters))
	}
}

// A list of a lane belongs to its instance; without one it is an orphan.
func TestReaper_leavesLanesToTheirOwner(t *testing.T) {
	b := newBench(t)
	b.holding("alive-1", time.Hour)
	must(t, b.rdb.LPush(t.Context(), b.keys.Processing("alive-1:0"), "kept").Err())
	must(t, b.rdb.LPush(t.Context(), b.keys.Processing("dead-1:0"), "orphan").Err())
	b.run(queue.NewReaper(b.queue(b.url, silent())).Run)
	testenv.Eventually(t, 15*time.Second, "the orphan is back", func() bool { return slices.Equal(b.list(b.keys.Queue()), []string{"orphan"}) })
	if got := b.list(b.keys.Processing("alive-1:0")); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("the lane of the living holds %v", got)
	}
}

// Who wakes after his lease must not reap himself before his heart beats; others may.
func TestReaper_sparesItsOwnProcess(t *testing.T) {
	b := newBench(t)
	b.cfg.Lease = time.Minute
	own := b.queue(b.url, silent())
	b.consume(queue.NewConsumer(own, open), func(context.Context, *queue.Delivery) error { return nil })
	testenv.Eventually(t, 5*time.Second, "it has joined", func() bool { return len(b.instances()) == 1 })
	instance := b.firstInstance()
	must(t, b.rdb.ZAdd(t.Context(), b.keys.Workers(), redis.Z{Score: 1, Member: instance}).Err())
	must(t, queue.NewReaper(own).Turn(t.Context()))
	if got := b.instances(); !slices.Equal(got, []string{instance}) {
		t.Errorf("%v are registered, want %s still", got, instance)
	}
	must(t, queue.NewReaper(b.queue(b.url, silent())).Turn(t.Context()))
	if got := b.instances(); slices.Contains(got, instance) {
		t.Errorf("%s is registered still: nobody would reap it", instance)
	}
}

// When Redis's clock jumps, every lease seems over at once; the living get time for a
// beat.
func TestReaper_waitsAfterAJumpOfTheClock(t *testing.T) {
	b := newBench(t)
	b.holding("alive-1", -time.Minute, "m1") // as the new clock has it
	reaper := queue.NewReaper(b.queue(b.url, silent()))
	reaper.RememberClock(time.Now().Add(-time.Hour))
	must(t, reaper.Turn(t.Context()))
	if got := b.instances(); len(got) != 1 {
		t.Errorf("registered are %v, want the living one", got)
	}
}

// Between two steps of a reaper its victim neither beats nor starts work, and its list
// is emptied to the end.
func TestReaper_condemnsBetweenItsSteps(t *testing.T) {
	b := newBench(t)
	k := b.keys
	held := names("held", 3)
	b.holding("late-1", -time.Millisecond, held...)
	if got, want := b.reap("late-1", 2), []int64{2, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("the first step returns %v, want %v", got, want)
	}
	for _, tt := range []struct {
		name string
		keys []string
		args []any
		want string
	}{
		{"beat.lua", []string{k.Workers(), k.Worker("late-1")}, []any{"late-1", 60000, "{}"}, "-1"},
		{"start.lua", []string{k.Workers(), k.Deliveries(), k.Returned()}, []any{"late-1", "digest", 1}, "-1"},
		{"returned.lua", []string{k.Workers(), k.Returned()}, []any{"late-1", "digest"}, "-1"},
		{"snapshot.lua", []string{k.Workers(), k.Worker("late-1")}, []any{"late-1", 0, "[]", `[["order:digest", 1, "7 c"]]`}, "0"},
	} {
		if got, err := b.script(tt.name, tt.keys, tt.args...).Result(); err != nil || strings.Trim(fmt.Sprint(got), "[]") != tt.want {
			t.Errorf("%s returns %v, %v, want %s: it is condemned", tt.name, got, err, tt.want)
		}
	}
	if got, want := b.reap("late-1", 2), []int64{1, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("the second step returns %v, want %v", got, want)
	}
	if got := b.list(k.Queue()); !slices.Equal(got, held) {
		t.Errorf("the queue holds %v, want %v", got, held)
	}
}

// server is what a test does to a Redis of its own.
type server interface {
	Kill()
	Restart() error
	Pause() error
	Resume() error
}

func restart(_ *bench, r server) error { return r.Restart() }
func pause(_ *bench, r server) error   { return r.Pause() }
func resume(_ *bench, r server) error  { return r.Resume() }

func do(command ...any) func(*bench, server) error {
	return func(b *bench, _ server) error { return b.rdb.Do(b.Context(), command...).Err() }
}

// After an outage every lease is over, and nobody has died: the reaper leaves each worker
// one lease for its first beat. The worker here is nothing but its lease, so that no
// beat of its can come before the reaper's look.
func TestReaper_leavesOneLeaseForTheFirstBeatAfterAnOutage(t *testing.T) {
	tests := []struct {
		name  string
		begin func(*bench, server) error
		lasts time.Duration
		end   func(*bench, server) error
	}{
		{"Redis refuses", func(_ *bench, r server) error { r.Kill(); return nil }, 2 * time.Second, restart},
		{"Redis is silent", pause, 5 * time.Second, resume},
		{"Redis answers late", pause, 1800 * time.Millisecond, resume}, // no time-out yet
		{"Redis is a replica", do("replicaof", "127.0.0.1", "1"), 2 * time.Second, do("replicaof", "no", "one")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := testenv.OwnRedis(t, "--appendfsync", "always") // a kill forgets nothing
			b := benchAt(t, redis.URL(), "q")
			b.holding("dead-1", -time.Hour, "m1")
			b.run(queue.NewReaper(b.queue(b.url, silent())).Run)
			testenv.Eventually(t, 10*time.Second, "the grace at the start is over", func() bool { return len(b.instances()) == 0 })
			b.holding("late-1", 3*time.Second/2, "m2")
			must(t, tt.begin(b, redis))
			<-time.After(tt.lasts)
			ended := time.Now()
			must(t, tt.end(b, redis))
			testenv.Eventually(t, 10*time.Second, "it is reaped", func() bool {
				n, err := b.rdb.ZCard(t.Context(), b.keys.Workers()).Result()
				return err == nil && n == 0
			})
			if took := time.Since(ended); took < b.cfg.Lease {
				t.Errorf("reaped %v after the outage, want one lease of grace, %v", took, b.cfg.Lease)
			}
		})
	}
}

// Of two copies that come back one after the other only the first one is marked: whoever has
// it may have begun, and has paid for the death, by the time at which the second comes back.
func TestReaper_chargesOneOfTwoCopies(t *testing.T) {
	b := newBench(t)
	b.holding("dead-1", -time.Millisecond, "twin", "twin")
	if got, want := b.reap("dead-1", 1), []int64{1, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("the first step returns %v, want %v", got, want)
	}
	if got := b.marked("twin"); got != "died dead-1" {
		t.Errorf("the first copy is marked %q, want died dead-1", got)
	}
	must(t, b.rdb.Del(t.Context(), b.keys.Returned()).Err()) // it is begun
	b.reap("dead-1", 2)
	if got := b.marked("twin"); got != "" {
		t.Errorf("the second copy is marked %q, want no mark", got)
	}
}

func TestReaper_nowEndsWithItsContext(t *testing.T) {
	b := newBench(t)
	b.cfg.Lease = time.Minute
	b.holding("gone-1", -time.Millisecond, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	reaped, err := queue.NewReaper(b.queue(b.url, silent())).Now(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || len(reaped) > 0 || time.Since(begin) > 10*time.Second {
		t.Errorf("after %v it has reaped %v, %v; want nobody, and the context's error", time.Since(begin), reaped, err)
	}
}

// For once, on behalf of a person: whose lease is over is reaped, orphans included, but only
// after a lease of contact; who lives keeps what he has.
func TestReaper_now(t *testing.T) {
	b := newBench(t)
	b.cfg.Lease, b.cfg.Worker = 4*time.Second, "Operator"
	b.holding("gone-1", -time.Millisecond, "a", "b")
	b.holding("lives-1", time.Hour, "c")
	b.holding("late-1", -time.Millisecond, "d") // it beats in time
	must(t, b.rdb.LPush(t.Context(), b.keys.Processing("orphan-1"), "e").Err())
	b.run(func(ctx context.Context) error {
		<-time.After(time.Second)
		return b.rdb.ZAdd(ctx, b.keys.Workers(), redis.Z{Score: 9e15, Member: "late-1"}).Err()
	})
	begin := time.Now()
	reaped, err := queue.NewReaper(b.queue(b.url, silent())).Now(t.Context())
	must(t, err)
	if took := time.Since(begin); took < b.cfg.Lease {
		t.Errorf("it took %v, want a lease at least", took)
	}
	slices.SortFunc(reaped, func(a, b queue.Reaped) int { return strings.Compare(a.Instance, b.Instance) })
	want := []queue.Reaped{{"gone-1", 2, 0}, {"orphan-1", 1, 0}}
	if !slices.Equal(reaped, want) {
		t.Errorf("reaped: %v, want %v", reaped, want)
	}
	if got := b.instances(); !slices.Equal(got, []string{"late-1", "lives-1"}) && !slices.Equal(got, []string{"lives-1", "late-1"}) {
		t.Errorf("registered are %v, want those that live", got)
	}
	if by := b.lastEvent()["by"]; by != "Operator" {
		t.Errorf("it was %v, want Operator", by)
	}
	reaped, err = queue.NewReaper(b.queue(b.url, silent())).Now(t.Context())
	if must(t, err); reaped == nil || len(reaped) > 0 {
		t.Errorf("the second time it reaps %v, want nobody", reaped)
	}
}
