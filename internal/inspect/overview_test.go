package inspect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	"github.com/redis/go-redis/v9"
)

// begin notes that an instance works on a payload, since so long ago.
func (b *bench) begin(instance, payload string, id int, ago time.Duration) {
	b.t.Helper()
	now, err := b.rdb.Time(b.t.Context()).Result()
	must(b.t, err)
	note := fmt.Sprintf("%d %d c-%d", now.Add(-ago).UnixMilli(), id, id)
	must(b.t, b.rdb.HSet(b.t.Context(), b.keys.Worker(instance), "order:"+queue.Digest([]byte(payload)), note).Err())
}

func (b *bench) overview(after string) Overview {
	b.t.Helper()
	o, err := b.Overview(b.t.Context(), after)
	must(b.t, err)
	must(b.t, b.AddStatuses(b.t.Context(), &o))
	return o
}

func TestOverview(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.enqueue(5)
	b.join("a-1", lease)
	b.join("b-1", -time.Second)
	b.begin("a-1", b.claim("a-1"), 1, 3*time.Second)
	b.begin("a-1", b.claim("a-1"), 2, 4*time.Second)
	b.claim("b-1")
	must(t, b.rdb.HSet(ctx, b.keys.Worker("a-1"), "pid", 7, "version", "v1", "concurrency", 1024, "tally", metrics.Tally{Fulfilled: 9}.String()).Err())
	must(t, b.rdb.LPush(ctx, b.keys.Lanes("a-1", 1024)[7], "in another lane").Err())
	must(t, b.rdb.ZAdd(ctx, b.keys.Delayed(), redis.Z{Score: 1, Member: "late"}, redis.Z{Score: 1e15, Member: "soon"}).Err())
	must(t, b.rdb.Set(ctx, b.keys.Paused(), "somebody at the desk 2026-01-02T03:04:05Z", 0).Err())
	for range 2 {
		must(t, b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{"payload", "x"}}).Err())
	}
	for _, event := range []string{"joined", "reaped"} {
		must(t, b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Events(), Values: []string{"event", event, "instance", "c"}}).Err())
	}
	_, err := b.db.Exec(ctx, `UPDATE orders SET status = 'processing' WHERE id = 1`)
	must(t, err)

	o := b.overview("")
	if o.Waiting != 2 || o.Delayed != 2 || o.Dead != 2 || o.Paused == nil || o.Paused.By != "somebody at the desk" {
		t.Errorf("it says %+v", o)
	}
	if o.NextDue == nil || o.NextDue.Duration() > 0 {
		t.Errorf("the first delayed message is due in %v, it was long ago", o.NextDue)
	}
	if len(o.Workers) != 2 || o.InHand() != 4 {
		t.Fatalf("the workers are %+v, want two that hold four", o.Workers)
	}
	a, lapsed := o.Workers[0], o.Workers[1]
	if a.Instance != "a-1" || a.State != Alive || a.Host != "box" || a.PID != 7 || a.Concurrency != 1024 || a.InHand != 3 || a.Tally.Fulfilled != 9 {
		t.Errorf("the first worker is %+v", a)
	}
	if lapsed.State != Lapsed || lapsed.LeaseLeft.Duration() > -time.Second || lapsed.InHand != 1 {
		t.Errorf("the second worker is %+v", lapsed)
	}
	if got := strings.TrimSpace(fmt.Sprintln(a.Orders[0].OrderID, a.Orders[0].Status, a.Orders[0].CorrelationID, a.Orders[1].OrderID, a.Orders[1].Status, len(a.Orders))); got != "2 pending c-2 1 processing 2" {
		t.Errorf("it works on %s", got)
	}
	if age := o.At.Sub(a.Orders[0].Since); age < 4*time.Second || age > time.Minute {
		t.Errorf("it works on the first since %v", age)
	}
	if len(o.Events) != 2 || o.Events[0].Kind != "joined" || o.Events[1].Fields["instance"] != "c" {
		t.Errorf("the events are %+v", o.Events)
	}
	if newer := b.overview(o.Events[0].ID).Events; len(newer) != 1 || newer[0].Kind != "reaped" {
		t.Errorf("after the first event there were %+v", newer)
	}
}

func TestOverview_ofWhatIsLarge(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.join("a-1", lease)
	must(t, b.rdb.HSet(ctx, b.keys.Worker("a-1"), "legend", strings.Repeat("x", 65), "concurrency", 4096).Err())
	for id := range 1000 {
		b.begin("a-1", fmt.Sprint(id), id, time.Minute)
	}
	must(t, b.rdb.RPush(ctx, b.keys.Queue(), strings.Repeat("x", 1<<20)).Err())
	o := b.overview("")
	if n := len(o.Workers[0].Orders); n != notesShown {
		t.Errorf("it tells of %d orders, want %d", n, notesShown)
	}
	if w := o.Workers[0]; w.Host != "box" || w.Concurrency != 4096 || w.BeatAt.IsZero() {
		t.Errorf("of the worker it says %+v", w)
	}
}

func TestOverview_costsTheSameWhateverTheQueue(t *testing.T) {
	t.Parallel()
	r := testenv.OwnRedis(t)
	rdb := testenv.RedisClient(t, r.URL())
	b := &bench{New(rdb, testenv.Pool(t, testenv.Database(t)), "q", lease), t, rdb, nil}
	cost := func() (calls int64) {
		must(t, rdb.ConfigResetStat(t.Context()).Err())
		b.overview("")
		info, err := rdb.InfoMap(t.Context(), "stats").Result()
		must(t, err)
		_, _ = fmt.Sscan(info["Stats"]["total_commands_processed"], &calls)
		return calls
	}
	b.overview("") // loads the script
	empty := cost()
	for n := range 50 {
		b.join(fmt.Sprint("w-", n), lease)
	}
	b.overview("")
	for n := range 1000 {
		must(t, rdb.LPush(t.Context(), b.keys.Queue(), fmt.Sprint(n)).Err())
	}
	// In Redis 7 the count includes what scripts call: a description, its size and a list for each.
	if got := cost(); got > empty+50*3 {
		t.Errorf("with 50 workers a look takes %d commands, and %d with none", got, empty)
	}
}
