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

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

func (b *bench) operator(who string) *queue.Operator {
	return queue.NewOperator(b.rdb, b.cfg.Name, who)
}

// bury makes dead letters, the oldest first, and returns their ids.
func (b *bench) bury(payloads ...string) (ids []string) {
	b.Helper()
	for n, p := range payloads {
		id, err := b.rdb.XAdd(b.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{
			"payload", p, "reason", "rejected", "error", "no", "order_id", fmt.Sprint(n + 1),
			"correlation_id", fmt.Sprintf("c-%d", n+1), "deliveries", "2", "instance", "w-1",
		}}).Result()
		must(b, err)
		ids = append(ids, id)
	}
	return ids
}

// lastEvent is the last one, without its id.
func (b *bench) lastEvent() map[string]any {
	b.Helper()
	all, err := b.rdb.XRevRangeN(b.Context(), b.keys.Events(), "+", "-", 1).Result()
	must(b, err)
	if len(all) == 0 {
		return nil
	}
	return all[0].Values
}

// Two seconds after a pause nobody claims any more, whatever he was at when it came; work
// in hand goes on.
func TestOperator_pauses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		backlog int
	}{{"while the workers wait for a message", 0}, {"while they have plenty", 100_000}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
			for left := tt.backlog; left > 0; left -= 1000 {
				b.push(names("old", 1000)...)
			}
			var finished atomic.Int64
			hold := make(chan struct{})
			var late sync.Map
			for range 3 {
				b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
					switch payload := string(d.Payload); {
					case payload == "held":
						<-hold
						finished.Add(1)
					case strings.HasPrefix(payload, "late"):
						late.Store(payload, true)
					}
					<-time.After(time.Millisecond)
					return nil
				})
			}
			must(t, b.rdb.RPush(t.Context(), b.keys.Queue(), "held").Err())
			testenv.Eventually(t, 10*time.Second, "it is in hand", func() bool {
				_, err := b.rdb.LPos(t.Context(), b.keys.Queue(), "held", redis.LPosArgs{Rank: -1, MaxLen: 100}).Result()
				return len(b.instances()) == 3 && errors.Is(err, redis.Nil)
			})

			changed, err := b.operator("Operator").Pause(t.Context())
			must(t, err)
			<-time.After(2 * time.Second)
			must(t, b.rdb.RPush(t.Context(), b.keys.Queue(), anys(names("late", 20))...).Err())
			waiting := b.rdb.LLen(t.Context(), b.keys.Queue()).Val()
			close(hold)
			testenv.Eventually(t, 5*time.Second, "the work in hand is done", func() bool { return finished.Load() == 1 })
			<-time.After(2 * time.Second)
			if left := b.rdb.LLen(t.Context(), b.keys.Queue()).Val(); left != waiting || !changed {
				t.Errorf("%d messages were claimed, want none; paused: %v", waiting-left, changed)
			}

			changed, err = b.operator("Operator").Resume(t.Context())
			must(t, err)
			testenv.Eventually(t, 3*time.Second, "what waited is claimed", func() bool {
				n := 0
				late.Range(func(_, _ any) bool { n++; return true })
				return n == 20 && changed
			})
		})
	}
}

// Nor does a worker that began to wait for a message just before it would have looked.
func TestOperator_pausesWhoHasJustBegunToWait(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		return nil
	})
	b.awaitAudits(2)
	_, err := b.operator("Operator").Pause(t.Context())
	must(t, err)
	for _, at := range []struct {
		wait    time.Duration
		message string
	}{{450 * time.Millisecond, "early"}, {500 * time.Millisecond, "early"}, {950 * time.Millisecond, "late"}} {
		<-time.After(at.wait)
		b.push(at.message)
	}
	b.awaitAudits(2)
	if slices.Contains(rec.all(), "late") {
		t.Errorf("1.9s after the pause it claims: there is nothing to spare")
	}
}

// Who pauses first is remembered, with the time by Redis's clock, until somebody resumes.
func TestOperator_pausesOnce(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	want := func(what string, got bool, err error, want bool) {
		t.Helper()
		must(t, err)
		if got != want {
			t.Errorf("%s changed something: %v, want %v", what, got, want)
		}
	}
	changed, err := b.operator("Operator").Resume(ctx)
	want("resuming what is not paused", changed, err, false)
	changed, err = b.operator("the night shift").Pause(ctx)
	want("the first pause", changed, err, true)
	changed, err = b.operator("Grace").Pause(ctx)
	want("the second pause", changed, err, false)
	text := b.rdb.Get(ctx, b.keys.Paused()).Val()
	who, at, _ := strings.Cut(text, " 2") // the year
	since, err := time.Parse(time.RFC3339, "2"+at)
	if who != "the night shift" || err != nil || b.rdb.Time(ctx).Val().Sub(since).Abs() > time.Minute {
		t.Errorf("paused is %q, %v; want the night shift and the time", text, err)
	}
	changed, err = b.operator("Grace").Resume(ctx)
	want("resuming", changed, err, true)
	if got := b.events(); got != "paused resumed" {
		t.Errorf("the events are %s, want paused resumed", got)
	}
	if got := b.lastEvent()["by"]; got != "Grace" {
		t.Errorf("it was resumed by %v, want Grace", got)
	}
	b.wantKeys(b.keys.Events())
}

func TestOperator_requeues(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	payloads := []string{"oldest", "\x00\xff raw \r\n", "never asked for", strings.Repeat("x", 5000)}
	ids := b.bury(payloads...)
	b.push("waiting")
	digest := queue.Digest([]byte("oldest"))
	must(t, b.rdb.HSet(ctx, b.keys.Deliveries(), digest, 2).Err()) // charged to a copy of it
	for _, again := range []int{3, 0} {                            // the second time it finds nothing
		n, err := b.operator("Operator").Requeue(ctx, ids[0], ids[3], "1-1", ids[1])
		must(t, err)
		if n != again {
			t.Errorf("%d letters were requeued, want %d", n, again)
		}
	}
	want := []string{payloads[0], payloads[1], payloads[3], "waiting"}
	if got := b.list(b.keys.Queue()); !slices.Equal(got, want) {
		t.Errorf("the queue is %q, want %q", got, want)
	}
	if letters := b.dead(); len(letters) != 1 || letters[0]["payload"] != payloads[2] {
		t.Errorf("the dead letters are %v, want the one that nobody asked for", letters)
	}
	for _, payload := range want[:3] {
		if how := b.marked(payload); how != "returned" {
			t.Errorf("%.10q is marked %q, want returned", payload, how)
		}
	}
	if n := b.charged("oldest"); n != 0 {
		t.Errorf("it was charged %d deliveries before its first one", n)
	}
	if got := b.events(); got != "requeued requeued requeued" {
		t.Errorf("the events are %s, want one for each", got)
	}
	for field, want := range map[string]string{
		"event": "requeued", "by": "Operator", "order_id": "1", "correlation_id": "c-1", "reason": "rejected", "id": ids[0],
	} {
		if got := b.lastEvent()[field]; got != want {
			t.Errorf("the event's %s is %v, want %s", field, got, want)
		}
	}
}

func TestOperator_drops(t *testing.T) {
	b := newBench(t)
	ids := b.bury("a", "b", "c")
	for _, again := range []int{2, 0} {
		n, err := b.operator("Operator").Drop(t.Context(), ids[0], ids[2], "1-1")
		must(t, err)
		if n != again {
			t.Errorf("%d letters were dropped, want %d", n, again)
		}
	}
	if letters := b.dead(); len(letters) != 1 || letters[0]["payload"] != "b" {
		t.Errorf("the dead letters are %v, want b", letters)
	}
	if got := b.events(); got != "dropped dropped" {
		t.Errorf("the events are %s, want one for each", got)
	}
	for field, want := range map[string]string{"by": "Operator", "order_id": "1", "correlation_id": "c-1", "reason": "rejected", "id": ids[0]} {
		if got := b.lastEvent()[field]; got != want {
			t.Errorf("the event's %s is %v, want %s", field, got, want)
		}
	}
	b.wantKeys(b.keys.Events(), b.keys.Dead())
}

func TestOperator_refusesWhatIsNoID(t *testing.T) {
	b := newBench(t)
	ids := b.bury("a")
	for _, id := range []string{"", "-", "+", "5", "5-", "x-1", "1-x", "-1-1"} {
		if n, err := b.operator("Operator").Requeue(t.Context(), ids[0], id); n != 0 || !errors.Is(err, queue.ErrLetterID) {
			t.Errorf("%q: %d letters were requeued, %v; want none and ErrLetterID", id, n, err)
		}
	}
}

// However many letters there are, and however long, no script is about more than a few; the
// oldest is in front all the same.
func TestOperator_requeuesManyAndLong(t *testing.T) {
	b := newBench(t)
	payloads := names("m", 700)
	payloads[300] = strings.Repeat("x", 10<<20)
	payloads[301] = strings.Repeat("y", 10<<20)
	ids := b.bury(payloads...)
	n, err := b.operator("Operator").Requeue(t.Context(), ids...)
	must(t, err)
	if got := b.list(b.keys.Queue()); n != 700 || !slices.Equal(got, payloads) {
		t.Errorf("%d requeued, the queue holds %d; want the 700 in their order", n, len(got))
	}
	ids = b.bury(payloads...)
	n, err = b.operator("Operator").Drop(t.Context(), ids...)
	must(t, err)
	if n != 700 || len(b.dead()) != 0 {
		t.Errorf("%d dropped, want 700", n)
	}
}

// A stranger's entry in the stream has nothing to queue, and stays.
func TestOperator_requeuesNoEntryWithoutPayload(t *testing.T) {
	b := newBench(t)
	id := b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{"note", "hello"}}).Val()
	n, err := b.operator("Operator").Requeue(t.Context(), id)
	must(t, err)
	if n != 0 || len(b.dead()) != 1 {
		t.Errorf("%d letters were requeued, %d are left; want 0 and 1", n, len(b.dead()))
	}
}

// An answer that is lost leaves open how far it came; to ask for the same again queues
// nothing twice.
func TestOperator_repeatsNothing(t *testing.T) {
	b := newBench(t)
	proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
	operator := queue.NewOperator(testenv.RedisClient(t, "redis://"+proxy.Addr()), b.cfg.Name, "Operator")
	_, err := operator.Requeue(t.Context(), b.bury("first")...) // the script is known
	must(t, err)
	want := names("m", 500)
	ids := b.bury(want...)
	proxy.LoseReplies(1, "evalsha", nil)
	if _, err := operator.Requeue(t.Context(), ids...); err == nil || proxy.Lost() != 1 {
		t.Errorf("no error, %d answers lost; want one", proxy.Lost())
	}
	if n := len(b.dead()); n != 300 {
		t.Errorf("%d letters are left, want 300: one page is requeued", n)
	}
	n, err := operator.Requeue(t.Context(), ids...)
	must(t, err)
	if got := b.list(b.keys.Queue()); n != 300 || !slices.Equal(got, append(want, "first")) {
		t.Errorf("%d requeued, the queue holds %d messages, want each once in its order", n, len(got))
	}
}

// Of several who requeue a letter, one does.
func TestOperator_requeuesOnce(t *testing.T) {
	b := newBench(t)
	payloads := names("m", 300)
	ids := b.bury(payloads...)
	var total atomic.Int64
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			operator := queue.NewOperator(testenv.RedisClient(t, b.url), b.cfg.Name, fmt.Sprint(n))
			for _, id := range ids {
				done, err := operator.Requeue(b.Context(), id)
				if err != nil {
					b.Error(err)
				}
				total.Add(int64(done))
			}
		})
	}
	all.Wait()
	got := b.list(b.keys.Queue())
	slices.Sort(got)
	slices.Sort(payloads)
	if !slices.Equal(got, payloads) || total.Load() != 300 {
		t.Errorf("%d requeued, the queue holds %d messages, want each of 300 once", total.Load(), len(got))
	}
}

// While workers run, what they bury is requeued as soon as it is seen: each message is done
// once, and none is lost or left.
func TestOperator_requeuesWhileWorkersRun(t *testing.T) {
	b := newBench(t)
	payloads := names("m", 300)
	var refused, done recorder
	var mu sync.Mutex
	tries := map[string]int{}
	for range 2 {
		b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
			if err := d.Start(ctx, false); err != nil {
				return err
			}
			mu.Lock()
			tries[string(d.Payload)]++
			again := tries[string(d.Payload)] < 3
			mu.Unlock()
			if again {
				refused.note(d.Payload)
				return queue.Reject(queue.Rejected, errors.New("not yet"))
			}
			done.note(d.Payload)
			return nil
		})
	}
	b.push(payloads...)
	reader := queue.NewReader(b.rdb, b.cfg.Name)
	b.run(func(ctx context.Context) error {
		for ctx.Err() == nil {
			var ids []string
			for letter, err := range reader.Letters(ctx, queue.Selection{}) {
				if err != nil {
					return err
				}
				ids = append(ids, letter.ID)
			}
			if _, err := b.operator("Operator").Requeue(ctx, ids...); err != nil {
				return err
			}
		}
		return nil
	})
	testenv.Eventually(t, 20*time.Second, "all is done", func() bool { return done.count() >= 300 })
	testenv.Eventually(t, 5*time.Second, "nothing is left", func() bool {
		return b.rdb.Exists(t.Context(), b.keys.Queue(), b.keys.Returned(), b.keys.Deliveries()).Val() == 0 && len(b.dead()) == 0
	})
	if done.count() != 300 || refused.count() != 600 {
		t.Errorf("%d done, %d refused, want 300 and 600", done.count(), refused.count())
	}
}
