package inspect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// lease is that of the workers in these tests.
const lease = 5 * time.Second

// bench is an inspector and what it looks at.
type bench struct {
	*Inspector
	t   *testing.T
	rdb *redis.Client
	db  *pgxpool.Pool
}

func newBench(t *testing.T) *bench {
	t.Helper()
	url, name := testenv.Redis(t)
	rdb, db := testenv.RedisClient(t, url), testenv.Pool(t, testenv.Database(t))
	return &bench{New(rdb, db, name, lease), t, rdb, db}
}

// enqueue inserts n orders and queues them.
func (b *bench) enqueue(n int) {
	b.t.Helper()
	_, err := b.db.Exec(b.t.Context(), `INSERT INTO orders (product_id, quantity) SELECT 1, 1 FROM generate_series(1, $1)`, n)
	must(b.t, err)
	must(b.t, b.rdb.Eval(b.t.Context(), `
		for id = 1, tonumber(ARGV[1]) do
		  redis.call('LPUSH', KEYS[1], '{"order_id": ' .. id .. ', "product_id": 1, "quantity": 1, "correlation_id": "c-' .. id .. '"}')
		end
		return 1`, []string{b.keys.Queue()}, n).Err())
}

// join registers a worker whose lease ends so far from now.
func (b *bench) join(instance string, left time.Duration) {
	b.t.Helper()
	must(b.t, join(b.t.Context(), b.rdb, b.keys, instance, left))
}

func join(ctx context.Context, rdb redis.Cmdable, keys queue.Keys, instance string, left time.Duration) error {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return err
	}
	deadline := now.Add(left).UnixMilli()
	if err := rdb.HSet(ctx, keys.Worker(instance), "host", "box", "beat_at", deadline-lease.Milliseconds()).Err(); err != nil {
		return err
	}
	return rdb.ZAdd(ctx, keys.Workers(), redis.Z{Score: float64(deadline), Member: instance}).Err()
}

func (b *bench) claim(instance string) string {
	b.t.Helper()
	payload, err := b.rdb.LMove(b.t.Context(), b.keys.Queue(), b.keys.Processing(instance), "RIGHT", "LEFT").Result()
	must(b.t, err)
	return payload
}

func (b *bench) wantVerdict(want string) {
	b.t.Helper()
	v, err := b.Verify(b.t.Context())
	must(b.t, err)
	if got := summary(v); got != want {
		b.t.Errorf("Verify says %s, want %s", got, want)
	}
}

func summary(v Verdict) string {
	faults := []string{}
	for _, f := range v.Faults {
		faults = append(faults, strings.TrimSpace(fmt.Sprint(f.Kind, " ", f.OrderID, " ", strings.Join(f.Places, "+"))))
	}
	return fmt.Sprintf("[%s], %d orders, %d messages, %d dead, %d leftovers", strings.Join(faults, ", "), v.Orders, v.Messages, v.Dead, v.Leftovers)
}

func TestVerify_longQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	patient := *b.rdb.Options()
	patient.ReadTimeout = time.Minute
	b.Inspector.rdb = redis.NewClient(&patient)
	t.Cleanup(func() { _ = b.Inspector.rdb.Close() })
	b.enqueue(200_000)
	must(t, b.rdb.LSet(t.Context(), b.keys.Queue(), 100_000, "rubbish").Err())
	b.wantVerdict("[lost 100000], 200000 orders, 200000 messages, 0 dead, 0 leftovers")
}

func TestVerify_manyFulfilledOrders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(3)
	_, err := b.db.Exec(t.Context(), `
		INSERT INTO orders (product_id, quantity, status) SELECT 1, 1, 'fulfilled' FROM generate_series(1, 50000)`)
	must(t, err)
	found, err := b.open(t.Context())
	must(t, err)
	if len(found) != 3 {
		t.Errorf("it loads %d orders, want the 3 that are open", len(found))
	}
	b.wantVerdict("[], 3 orders, 3 messages, 0 dead, 0 leftovers")
}

// TestVerify_runningSystem moves messages in every way that is allowed while it
// verifies: nothing of that is a fault.
func TestVerify_runningSystem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(2000)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	const workers = 4
	for range workers {
		go func() { done <- b.work(ctx) }()
	}
	for looks := range 40 {
		v, err := b.Verify(t.Context())
		must(t, err)
		if len(v.Faults) > 0 {
			t.Errorf("look %d: Verify says %s, want no fault", looks, summary(v))
		}
	}
	stop()
	for range workers {
		must(t, <-done)
	}
}

// work is a worker that never holds a message for long, and joins under a new name
// for every few.
func (b *bench) work(ctx context.Context) error {
	for ctx.Err() == nil {
		instance := fmt.Sprintf("w-%x", rand.Uint64())
		if err := join(ctx, b.rdb, b.keys, instance, lease); err != nil {
			return quiet(ctx, err)
		}
		for range 3 {
			if err := b.workOnce(ctx, instance); err != nil {
				return quiet(ctx, err)
			}
		}
		if err := b.rdb.ZRem(ctx, b.keys.Workers(), instance).Err(); err != nil {
			return quiet(ctx, err)
		}
	}
	return nil
}

func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// workOnce fulfils the oldest order, puts it off, or gives it back. A new order
// follows each that is fulfilled.
func (b *bench) workOnce(ctx context.Context, instance string) error {
	mine := b.keys.Processing(instance)
	payload, err := b.rdb.LMove(ctx, b.keys.Queue(), mine, "RIGHT", "LEFT").Result()
	if err != nil {
		return err
	}
	switch rand.IntN(4) {
	case 0:
		return b.rdb.LMove(ctx, mine, b.keys.Queue(), "LEFT", "RIGHT").Err()
	case 1:
		_, err := b.rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			tx.ZAdd(ctx, b.keys.Delayed(), redis.Z{Score: 1, Member: payload})
			tx.LRem(ctx, mine, -1, payload)
			tx.ZRem(ctx, b.keys.Delayed(), payload)
			tx.LPush(ctx, b.keys.Queue(), payload)
			return nil
		})
		return err
	}
	m, err := order.Decode([]byte(payload))
	if err != nil {
		return err
	}
	if _, err := b.db.Exec(ctx, `UPDATE orders SET status = 'fulfilled' WHERE id = $1`, m.OrderID); err != nil {
		return err
	}
	if err := b.rdb.LRem(ctx, mine, -1, payload).Err(); err != nil {
		return err
	}
	var id int64
	if err := b.db.QueryRow(ctx, `INSERT INTO orders (product_id, quantity) VALUES (1, 1) RETURNING id`).Scan(&id); err != nil {
		return err
	}
	return b.rdb.LPush(ctx, b.keys.Queue(), fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1}`, id)).Err()
}

// beforeTx calls something before the next transaction is sent.
type beforeTx struct{ call func() }

func (h *beforeTx) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *beforeTx) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *beforeTx) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "zrange" }) {
			return next(ctx, cmds) // a new connection introduces itself
		}
		call := h.call
		h.call = func() {}
		call() // may set another
		return next(ctx, cmds)
	}
}

func TestInFlight_newcomer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(1)
	b.Inspector.rdb.AddHook(&beforeTx{func() { // after the lists are known
		hookless := redis.NewClient(b.rdb.Options())
		defer hookless.Close()
		must(t, join(t.Context(), hookless, b.keys, "new", lease))
		must(t, hookless.LMove(t.Context(), b.keys.Queue(), b.keys.Processing("new"), "RIGHT", "LEFT").Err())
	}})
	workers, err := b.InFlight(t.Context())
	must(t, err)
	if len(workers) != 1 || len(workers[0].Messages) != 1 || workers[0].Messages[0].OrderID != 1 {
		t.Errorf("InFlight says %+v, want the newcomer with order 1", workers)
	}
}

func TestVerify_onlyWhatShowsTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(2)
	first := b.rdb.RPop(t.Context(), b.keys.Queue()).Val()
	var hook beforeTx
	hook.call = func() { // what follows is between the two looks
		hook.call = func() { b.swap(first) }
	}
	b.Inspector.rdb.AddHook(&hook)
	b.wantVerdict("[], 2 orders, 1 messages, 0 dead, 0 leftovers")
}

// swap loses the messages in the queue and puts another there.
func (b *bench) swap(payload string) {
	b.t.Helper()
	hookless := redis.NewClient(b.rdb.Options())
	defer hookless.Close()
	must(b.t, hookless.Del(b.t.Context(), b.keys.Queue()).Err())
	must(b.t, hookless.LPush(b.t.Context(), b.keys.Queue(), payload).Err())
}

func TestVerify_stopsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(1)
	must(t, b.rdb.Del(t.Context(), b.keys.Queue()).Err())
	ctx, cancel := context.WithTimeout(t.Context(), confirmAfter/2)
	defer cancel()
	if v, err := b.Verify(ctx); err == nil {
		t.Errorf("Verify says %s, want an error", summary(v))
	}
}

// TestReadOnly gives the inspector no right to write anything.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(3)
	b.join("w", lease)
	b.claim("w")
	must(t, b.rdb.RPop(t.Context(), b.keys.Queue()).Err())

	user := b.keys.Queue()
	must(t, b.rdb.Do(t.Context(), "ACL", "SETUSER", user, "on", "nopass", "~"+b.keys.Queue(), "~"+strings.TrimSuffix(b.keys.Pattern(), "*")+"*",
		"-@all", "+@read", "+@connection", "+multi", "+exec", "+time", "+eval_ro", "+evalsha_ro").Err())
	t.Cleanup(func() { b.rdb.Do(context.WithoutCancel(t.Context()), "ACL", "DELUSER", user) })
	options := *b.rdb.Options()
	options.Username, options.Password = user, "any"
	reader := redis.NewClient(&options)
	t.Cleanup(func() { _ = reader.Close() })
	cfg := b.db.Config()
	cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	db, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(db.Close)

	i := New(reader, db, b.keys.Queue(), lease)
	s, err := i.Status(t.Context())
	must(t, err)
	if s.Waiting != 1 || s.InHand != 1 || s.Orders[order.Pending] != 3 {
		t.Errorf("Status says %+v", s)
	}
	workers, err := i.InFlight(t.Context())
	must(t, err)
	if len(workers) != 1 || len(workers[0].Messages) != 1 {
		t.Errorf("InFlight says %+v", workers)
	}
	v, err := i.Verify(t.Context())
	must(t, err)
	if got, want := summary(v), "[lost 2], 3 orders, 2 messages, 0 dead, 0 leftovers"; got != want {
		t.Errorf("Verify says %s, want %s", got, want)
	}
	instances, err := i.Instances(t.Context())
	must(t, err)
	delayed, _, err := i.Delayed(t.Context(), 0)
	must(t, err)
	letters, _, err := i.Letters(t.Context(), queue.Selection{}, 0)
	must(t, err)
	story, err := i.Trace(t.Context(), "1")
	must(t, err)
	if _, err := i.Paused(t.Context()); err != nil || len(instances) != 1 || len(delayed)+len(letters) > 0 || len(story.Messages) != 1 {
		t.Errorf("%v; it says %+v, %+v, %+v and %+v", err, instances, delayed, letters, story)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "--cluster-enabled", "yes")
	single := testenv.RedisClient(t, server.URL())
	must(t, single.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err())
	testenv.Eventually(t, 20*time.Second, "a cluster", func() bool {
		info, err := single.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { _ = cluster.Close() })
	db := testenv.Pool(t, testenv.Database(t))
	b := &bench{New(cluster, db, "fulfillment_queue", lease), t, single, db}
	b.enqueue(2)
	b.join("w", lease)
	b.claim("w")
	s, err := b.Status(t.Context())
	must(t, err)
	if s.Waiting != 1 || s.InHand != 1 || s.Workers[Alive] != 1 {
		t.Errorf("Status says %+v", s)
	}
	b.wantVerdict("[], 2 orders, 2 messages, 0 dead, 0 leftovers")
	workers, err := b.InFlight(t.Context())
	must(t, err)
	if len(workers) != 1 || workers[0].Messages[0].CorrelationID != "c-1" {
		t.Errorf("InFlight says %+v", workers)
	}
	story, err := b.Trace(t.Context(), "c-1")
	must(t, err)
	_, delayed, err := b.Delayed(t.Context(), 0)
	must(t, err)
	if len(story.Messages) != 1 || story.Messages[0].Instance != "w" || delayed != 0 {
		t.Errorf("the story is %+v", story)
	}
}

func TestHolder_overdue(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	at := func(ms int64) map[string]string { return map[string]string{"beat_at": fmt.Sprint(ms)} }
	tests := []struct {
		name   string
		holder holder
		want   time.Duration
	}{
		{"its own lease counts", holder{state: Lapsed, deadline: now.Add(-3 * time.Second), facts: at(995_000)}, time.Second},
		{"without a trace the believed one", holder{state: Lapsed, deadline: now.Add(-6 * time.Second)}, time.Second},
		{"a beat after the deadline is no measure", holder{state: Lapsed, deadline: now.Add(-4 * time.Second), facts: at(999_000)}, -time.Second},
		{"condemned long after its last beat", holder{state: Condemned, facts: at(988_000)}, 2 * time.Second},
		{"condemned just now", holder{state: Condemned, facts: at(994_000)}, -4 * time.Second},
		{"condemned without a trace", holder{state: Condemned}, lease},
		{"alive", holder{state: Alive, deadline: now.Add(time.Second)}, -lease},
		{"never registered", holder{state: Unregistered}, -lease},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.holder.overdue(now, lease); got != tt.want {
				t.Errorf("it is overdue by %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOldestAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 10, 0, time.UTC)
	tests := []struct {
		name string
		tail []string
		want string
	}{
		{"an empty queue", nil, "null"},
		{"a message of ten seconds ago", []string{`{"order_id": 1, "timestamp": "2026-01-31T12:00:00"}`}, "10000"},
		{"a publisher whose clock is ahead", []string{`{"timestamp": "2026-01-31T13:00:00"}`}, "0"},
		{"no timestamp", []string{`{"order_id": 1}`}, "null"},
		{"no message", []string{`rubbish`}, "null"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "null"
			if age := oldestAge(tt.tail, now); age != nil {
				text, err := age.MarshalJSON()
				must(t, err)
				got = string(text)
			}
			if got != tt.want {
				t.Errorf("its age is %s, want %s", got, tt.want)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
