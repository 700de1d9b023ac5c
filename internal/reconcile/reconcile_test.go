package reconcile_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/reconcile"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// after is for how long nobody must have touched an order; make gives each a date.
const after = time.Minute

// bench is a queue and a database of the test's own.
type bench struct {
	*testing.T
	rdb      *redis.Client
	db       *pgxpool.Pool // the superuser's
	keys     queue.Keys
	redisURL string
	url      string
	name     string
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	redisURL, name := testenv.Redis(t)
	url := testenv.Database(t)
	return &bench{
		T: t, rdb: testenv.RedisClient(t, redisURL), db: testenv.Pool(t, url),
		keys: queue.NewKeys(name), redisURL: redisURL, url: url, name: name,
	}
}

// reconciler is one worker's.
func (b *bench) reconciler(log io.Writer) *reconcile.Reconciler {
	b.Helper()
	redisOpts, err := redis.ParseURL(b.redisURL)
	must(b, err)
	rdb := queue.Dial(&redis.UniversalOptions{Addrs: []string{redisOpts.Addr}, DB: redisOpts.DB}, 1, 1000)
	b.Cleanup(rdb.Close)
	cfg, err := pgxpool.ParseConfig(testenv.WorkerURL(b.url))
	must(b, err)
	cfg.MaxConns = 1
	lines := logger.New(log, "test", slog.LevelDebug)
	orders, err := db.New(cfg, time.Hour, lines)
	must(b, err)
	b.Cleanup(orders.Close)
	q := queue.New(rdb, queue.Config{Name: b.name, Worker: "w", Concurrency: 1, Lease: time.Second, MaxMessageBytes: 1000}, lines)
	return &reconcile.Reconciler{Orders: orders, Queue: q, Name: b.name, Interval: time.Hour, After: after, Log: lines}
}

// look makes a reconciler look, whether or not it is time.
func (b *bench) look() {
	b.Helper()
	must(b, b.rdb.Del(b.Context(), b.keys.Looked()).Err())
	_, err := reconcile.Once(b.Context(), b.reconciler(io.Discard))
	must(b, err)
}

// orders makes n orders in that status that nobody has touched for so long.
func (b *bench) orders(n int, status order.Status, untouched time.Duration) []int64 {
	b.Helper()
	var ids []int64
	rows, err := b.db.Query(b.Context(), `
		INSERT INTO orders (product_id, quantity, status, created_at, updated_at)
		SELECT 3, 2, $2, now() - interval '1 day', now() - make_interval(secs => $3) FROM generate_series(1, $1) RETURNING id`,
		n, status, untouched.Seconds())
	must(b, err)
	for rows.Next() {
		var id int64
		must(b, rows.Scan(&id))
		ids = append(ids, id)
	}
	must(b, rows.Err())
	return ids
}

func payload(id int64) string {
	return order.Message{OrderID: id, ProductID: 3, Quantity: 2, CorrelationID: "c"}.Encode()
}

func (b *bench) push(ids ...int64) {
	b.Helper()
	for _, id := range ids {
		must(b, b.rdb.LPush(b.Context(), b.keys.Queue(), payload(id)).Err())
	}
}

// waiting are the messages in the queue, the next first.
func (b *bench) waiting() (messages []order.Message) {
	b.Helper()
	all, err := b.rdb.LRange(b.Context(), b.keys.Queue(), 0, -1).Result()
	must(b, err)
	for _, payload := range slices.Backward(all) {
		m, err := order.Decode([]byte(payload))
		must(b, err)
		messages = append(messages, m)
	}
	return messages
}

// putBack are the orders whose messages a reconciler has made, the next first.
func (b *bench) putBack() (ids []int64) {
	b.Helper()
	for _, m := range b.waiting() {
		if strings.HasPrefix(m.CorrelationID, "reconciled-") {
			ids = append(ids, m.OrderID)
		}
	}
	return ids
}

func (b *bench) wantPutBack(want ...int64) {
	b.Helper()
	if got := b.putBack(); !slices.Equal(got, want) {
		b.Errorf("the orders %v were put back, want %v", got, want)
	}
}

func TestReconciler_countsWhatItPutsBack(t *testing.T) {
	b := newBench(t)
	b.orders(3, order.Pending, 2*after)
	r := b.reconciler(io.Discard)
	r.Metrics = metrics.New(metrics.Worker{})
	_, err := reconcile.Once(t.Context(), r)
	must(t, err)
	w := httptest.NewRecorder()
	r.Metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if n := testenv.Samples(w.Body.String())["fulfillment_orders_reconciled_total"]; n != 3 {
		t.Errorf("%v are counted, want 3", n)
	}
}

func TestReconciler_putsBackWhatIsLost(t *testing.T) {
	tests := []struct {
		name      string
		status    order.Status
		untouched time.Duration
		lost      bool
	}{
		{"a pending order", order.Pending, 2 * after, true},
		{"an order in somebody's hand once", order.Processing, 2 * after, true},
		{"a fulfilled order", order.Fulfilled, 2 * after, false},
		{"an order in a state of somebody else's", "cancelled", 2 * after, false},
		{"a pending order that is young", order.Pending, after / 2, false},
		{"an order that was lately in somebody's hand", order.Processing, after / 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			ids := b.orders(3, tt.status, tt.untouched)
			b.look()
			if !tt.lost {
				ids = nil
			}
			b.wantPutBack(ids...)
			b.look()
			b.wantPutBack(ids...) // it finds what it has queued
		})
	}
}

func TestReconciler_leavesWhatIsSomewhere(t *testing.T) {
	letter := func(b *bench, id int64) error {
		return b.rdb.XAdd(b.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []any{"payload", "?", "order_id", id}}).Err()
	}
	places := map[string]func(b *bench, id int64) error{
		"in the queue": func(b *bench, id int64) error { return b.rdb.LPush(b.Context(), b.keys.Queue(), payload(id)).Err() },
		"in hand": func(b *bench, id int64) error {
			return b.rdb.LPush(b.Context(), b.keys.Processing("w-1"), payload(id)).Err()
		},
		"in a lane": func(b *bench, id int64) error {
			return b.rdb.LPush(b.Context(), b.keys.Processing("w-1:2"), payload(id)).Err()
		},
		"delayed": func(b *bench, id int64) error {
			return b.rdb.ZAdd(b.Context(), b.keys.Delayed(), redis.Z{Score: 1e15, Member: payload(id)}).Err()
		},
		"a dead letter": letter,
		"a dead letter behind many": func(b *bench, id int64) error {
			for range 1001 {
				must(b, letter(b, 1<<40))
			}
			return letter(b, id)
		},
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ids := b.orders(2, order.Pending, 2*after)
			must(t, place(b, ids[0]))
			b.look()
			b.wantPutBack(ids[1])
		})
	}
}

// On behalf of a person it looks whether or not it is time, and says what it has queued;
// but it does not look beside somebody else.
func TestReconciler_now(t *testing.T) {
	b := newBench(t)
	ids := b.orders(700, order.Pending, 2*after)
	b.push(ids[3])
	must(t, b.rdb.Set(t.Context(), b.keys.Looked(), "w", time.Hour).Err())
	queued, alone, err := b.reconciler(io.Discard).Now(t.Context())
	must(t, err)
	if len(queued) != 699 || !alone {
		t.Errorf("%d messages were queued, alone: %v; want 699", len(queued), alone)
	}
	known := map[string]bool{}
	for _, m := range b.waiting() {
		known[m.CorrelationID] = true
	}
	for _, m := range queued {
		if !known[m.CorrelationID] || m.OrderID == ids[3] {
			t.Fatalf("it says that it has queued %+v", m)
		}
	}

	busy := b.reconciler(io.Discard)
	_, err = busy.Orders.Alone(t.Context(), b.name, after, func(*db.Stale) error {
		_, alone, err := b.reconciler(io.Discard).Now(t.Context())
		if alone || err != nil {
			t.Errorf("beside somebody else it looks: %v, %v", alone, err)
		}
		return nil
	})
	must(t, err)
}

// What it puts back stands in front, the oldest first, may be taken over at once, and is
// seen in the log, in the events and in the count.
func TestReconciler_saysWhatItDoes(t *testing.T) {
	b := newBench(t)
	lost := b.orders(1203, order.Processing, 2*after)
	young := b.orders(1, order.Pending, 0)
	b.push(young...)
	var log bytes.Buffer
	_, err := reconcile.Once(t.Context(), b.reconciler(&log))
	must(t, err)

	b.wantPutBack(lost...)
	waiting := b.waiting()
	if last := waiting[len(waiting)-1]; last.OrderID != young[0] {
		t.Errorf("the last in the queue is %+v, want order %d", last, young[0])
	}
	first := waiting[0]
	if first.ProductID != 3 || first.Quantity != 2 || time.Since(first.Queued).Abs() > time.Minute {
		t.Errorf("the message is %+v, want the row's product and quantity, and now", first)
	}
	if n := b.rdb.HLen(t.Context(), b.keys.Returned()).Val(); n != int64(len(lost)) {
		t.Errorf("%d orders may be taken over at once, want %d", n, len(lost))
	}
	if n := b.rdb.Get(t.Context(), b.keys.Reconciled()).Val(); n != "1203" {
		t.Errorf("the count is %s, want 1203", n)
	}
	var told []string
	for _, e := range b.rdb.XRange(t.Context(), b.keys.Events(), "-", "+").Val() {
		if e.Values["event"] != "reconciled" || e.Values["by"] != "w" {
			t.Errorf("an event is %v", e.Values)
		}
		told = append(told, strings.Fields(e.Values["orders"].(string))...)
	}
	if len(told) != len(lost) {
		t.Errorf("the events name %d orders, want %d", len(told), len(lost))
	}
	line := fmt.Sprintf(`"correlation_id":"%s","order_id":%d,"actor":"reconciler"`, first.CorrelationID, first.OrderID)
	if want := fmt.Sprintf("Order %d queued again", first.OrderID); !strings.Contains(log.String(), want) || !strings.Contains(log.String(), line) {
		t.Errorf("the log has no line %q with %s", want, line)
	}
}

// Of a long queue only the front is read. What may be farther back is left alone; what is
// older than all that waits cannot be.
func TestReconciler_queuesNoBacklogTwice(t *testing.T) {
	b := newBench(t)
	older := b.orders(2, order.Pending, 2*after)
	backlog := b.orders(1500, order.Pending, 2*after)
	var waiting []int64
	lost := []int64{backlog[100], backlog[1400]} // one in front, one far behind
	for _, id := range backlog {
		if !slices.Contains(lost, id) {
			waiting = append(waiting, id)
		}
	}
	b.push(waiting...)
	b.look()
	b.wantPutBack(older[0], older[1], lost[0])
	must(t, b.rdb.LTrim(t.Context(), b.keys.Queue(), 0, 300).Err()) // time goes by
	_, err := b.db.Exec(t.Context(), `UPDATE orders SET status = 'fulfilled' WHERE id < $1`, backlog[1198])
	must(t, err)
	b.look()
	b.wantPutBack(lost[1])
}

// Messages that came back, or name orders that do not exist, do not hide what is lost.
func TestReconciler_bearsOutliers(t *testing.T) {
	b := newBench(t)
	first := b.orders(1, order.Pending, 2*after)[0]
	lost := b.orders(1, order.Pending, 2*after)[0]
	backlog := b.orders(900, order.Pending, 2*after)
	b.push(backlog[:460]...)
	for range 20 {
		b.push(first, 1<<40)
	}
	b.push(backlog[460:]...)
	b.look()
	b.wantPutBack(lost)
}

// moving is a queue in which something happens before each of its looks.
type moving struct {
	reconcile.Queue
	happens func(look int)
	look    int
}

func (m *moving) next() {
	m.look++
	m.happens(m.look)
}

func (m *moving) Front(ctx context.Context) ([]string, bool, error) {
	m.next()
	return m.Queue.Front(ctx)
}

func (m *moving) Elsewhere(ctx context.Context, message, letter func(string)) error {
	m.next()
	return m.Queue.Elsewhere(ctx, message, letter)
}

// A message that moves while it looks, and moves again, is not taken for lost, whenever
// that happens.
func TestReconciler_findsWhatMoves(t *testing.T) {
	b := newBench(t)
	id := b.orders(1, order.Processing, 2*after)[0]
	r := b.reconciler(io.Discard)
	real := r.Queue
	for _, begins := range []string{b.keys.Queue(), b.keys.Processing("w-1")} {
		for first := 1; first <= 5; first++ {
			for second := first; second <= 6; second++ {
				must(t, b.rdb.Del(t.Context(), b.keys.Looked(), b.keys.Queue(), b.keys.Processing("w-1")).Err())
				must(t, b.rdb.LPush(t.Context(), begins, payload(id)).Err())
				move := func(look int) {
					if look == first || look == second {
						b.rdb.LMove(t.Context(), b.keys.Queue(), b.keys.Processing("w-2"), "RIGHT", "LEFT")
						b.rdb.LMove(t.Context(), b.keys.Processing("w-1"), b.keys.Queue(), "LEFT", "RIGHT")
						b.rdb.RenameNX(t.Context(), b.keys.Processing("w-2"), b.keys.Processing("w-1"))
					}
				}
				r.Queue = &moving{Queue: real, happens: move}
				_, err := reconcile.Once(t.Context(), r)
				must(t, err)
				if b.rdb.Exists(t.Context(), b.keys.Reconciled()).Val() != 0 {
					t.Fatalf("it began in %s, moved before the looks %d and %d, and was taken for lost", begins, first, second)
				}
			}
		}
	}
}

// An order that somebody takes while it looks is not lost.
func TestReconciler_leavesWhatIsTouchedMeanwhile(t *testing.T) {
	b := newBench(t)
	ids := b.orders(2, order.Processing, 2*after)
	r := b.reconciler(io.Discard)
	r.Queue = &moving{Queue: r.Queue, happens: func(look int) {
		if look == 5 {
			_, err := b.db.Exec(t.Context(), `UPDATE orders SET updated_at = clock_timestamp() WHERE id = $1`, ids[0])
			must(t, err)
		}
	}}
	_, err := reconcile.Once(t.Context(), r)
	must(t, err)
	b.wantPutBack(ids[1])
}

// However many workers there are, they look once an interval together, and one at a time.
func TestReconciler_looksOnceAnInterval(t *testing.T) {
	b := newBench(t)
	lost := b.orders(500, order.Pending, 2*after)
	var all sync.WaitGroup
	for range 4 {
		r := b.reconciler(io.Discard)
		all.Go(func() {
			wait, err := reconcile.Once(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			if wait <= 0 || wait > r.Interval {
				t.Errorf("the next look is due in %v", wait)
			}
		})
	}
	all.Wait()
	b.wantPutBack(lost...)
	later := b.orders(1, order.Pending, 2*after)
	_, err := reconcile.Once(t.Context(), b.reconciler(io.Discard))
	must(t, err)
	b.wantPutBack(lost...) // it is not time
	b.look()
	b.wantPutBack(append(later, lost...)...)
}
