package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/httpd"
	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/queue"
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

const (
	token = "the-token-of-a-test"
	lease = 5 * time.Second
)

// stage is a page, and the queue that it shows.
type stage struct {
	*testing.T
	page *Page
	rdb  *redis.Client // that the page uses as well
	db   *pgxpool.Pool
	keys queue.Keys
	log  *safeBuffer
}

func newStage(t *testing.T) *stage {
	t.Parallel()
	url, name := testenv.Redis(t)
	return stageAt(t, url, name, testenv.Database(t))
}

func stageAt(t *testing.T, redisURL, name, databaseURL string) *stage {
	rdb, db := testenv.RedisClient(t, redisURL), testenv.Pool(t, databaseURL)
	inspector := inspect.New(rdb, db, name, lease)
	log := &safeBuffer{}
	return &stage{T: t, rdb: rdb, db: db, keys: queue.NewKeys(name), log: log, page: &Page{
		Live: inspect.NewLive(inspector), Inspector: inspector, Token: token,
		Operator: func(who string) Operator { return queue.NewOperator(rdb, name, who) },
		Queue:    name, Worker: "w", Version: "v1", Settings: []config.Shown{{Name: "QUEUE_NAME", Value: name}, {Name: "DASHBOARD_TOKEN", Value: "[secret]"}},
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve serves the page as a worker does, until the test ends or stop is called, which
// returns how long that took. It returns the page's URL.
func (s *stage) serve() (url string, stop func() time.Duration) {
	s.Helper()
	return s.serveAt("127.0.0.1:0", s.page.Handler())
}

func (s *stage) serveAt(addr string, handler http.Handler) (url string, stop func() time.Duration) {
	s.Helper()
	l, err := net.Listen("tcp", addr)
	must(s, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = s.page.Live.Run(ctx) })
	running.Go(func() { _ = httpd.Server{Page: handler, Log: slog.New(slog.DiscardHandler)}.Serve(ctx, l) })
	stop = func() time.Duration {
		began := time.Now()
		cancel()
		running.Wait()
		return time.Since(began)
	}
	s.Cleanup(func() { stop() })
	return "http://" + l.Addr().String() + "/", stop
}

// ask asks the page's handler, by default as somebody on this machine.
func (s *stage) ask(method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:4711", "localhost:8080"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.page.Handler().ServeHTTP(w, r)
	return w
}

func bearer(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }

// message is one as the Order API writes it.
func message(id int) string {
	return fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1, "correlation_id": "c-%d", "timestamp": "%s"}`,
		id, id, time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
}

func (s *stage) push(payloads ...string) {
	s.Helper()
	for _, p := range payloads {
		must(s, s.rdb.LPush(s.Context(), s.keys.Queue(), p).Err())
	}
}

// join registers a worker that works on so many orders, begun a second apart, from first on.
func (s *stage) join(instance string, left time.Duration, concurrency, first, n int) {
	s.Helper()
	ctx := s.Context()
	now := s.now()
	facts := []any{
		"host", "box", "pid", 7, "version", "v1", "concurrency", concurrency, "started_at", now.UnixMilli(),
		"beat_at", now.Add(left - lease).UnixMilli(), "tally", metrics.Tally{}.String(),
	}
	pipe := s.rdb.Pipeline()
	for i := range n {
		payload := message(first + i)
		pipe.LPush(ctx, s.keys.Lanes(instance, concurrency)[i%len(s.keys.Lanes(instance, concurrency))], payload)
		facts = append(facts, "order:"+queue.Digest([]byte(payload)),
			fmt.Sprintf("%d %d c-%d", now.Add(-time.Duration(i)*time.Second).UnixMilli(), first+i, first+i))
	}
	pipe.HSet(ctx, s.keys.Worker(instance), facts...)
	pipe.ZAdd(ctx, s.keys.Workers(), redis.Z{Score: float64(now.Add(left).UnixMilli()), Member: instance})
	_, err := pipe.Exec(ctx)
	must(s, err)
}

func (s *stage) now() time.Time {
	s.Helper()
	now, err := s.rdb.Time(s.Context()).Result()
	must(s, err)
	return now
}

// rows makes n orders that are being worked on.
func (s *stage) rows(n int) {
	s.Helper()
	_, err := s.db.Exec(s.Context(), `INSERT INTO orders (product_id, quantity, status) SELECT 1, 1, 'processing' FROM generate_series(1, $1)`, n)
	must(s, err)
}

func (s *stage) bury(payload, reason, why string) string {
	s.Helper()
	id, err := s.rdb.XAdd(s.Context(), &redis.XAddArgs{Stream: s.keys.Dead(), Values: []any{
		"payload", payload, "reason", reason, "error", why, "order_id", "", "correlation_id", "", "deliveries", 3, "instance", "w-1",
	}}).Result()
	must(s, err)
	return id
}

func (s *stage) happen(event string, fields ...any) {
	s.Helper()
	must(s, s.rdb.XAdd(s.Context(), &redis.XAddArgs{Stream: s.keys.Events(), Values: append([]any{"event", event}, fields...)}).Err())
}

// beating keeps the leases of these workers, and lets each fulfil so many orders a second.
func (s *stage) beating(rate uint64, instances ...string) {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.Context()))
	var beating sync.WaitGroup
	beating.Go(func() {
		var tally metrics.Tally
		tally.Waiting, tally.Working = make(metrics.Histogram, metrics.Buckets), make(metrics.Histogram, metrics.Buckets)
		for tick := time.Tick(lease / 3); ; {
			n := rate * 5 / 3
			tally.Claimed, tally.Fulfilled = tally.Claimed+n, tally.Fulfilled+n
			tally.Waiting[8], tally.Working[10], tally.Working[11] = tally.Waiting[8]+n, tally.Working[10]+n, tally.Working[11]+n/9
			now, err := s.rdb.Time(ctx).Result()
			for _, instance := range instances {
				if err == nil {
					err = s.rdb.HSet(ctx, s.keys.Worker(instance), "beat_at", now.UnixMilli(), "tally", tally.String()).Err()
				}
				if err == nil {
					err = s.rdb.ZAdd(ctx, s.keys.Workers(), redis.Z{Score: float64(now.Add(lease).UnixMilli()), Member: instance}).Err()
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
		}
	})
	s.Cleanup(func() {
		stop()
		beating.Wait()
	})
}

func (s *stage) delay(payload string, by time.Duration) {
	s.Helper()
	must(s, s.rdb.ZAdd(s.Context(), s.keys.Delayed(), redis.Z{Score: float64(s.now().Add(by).UnixMilli()), Member: payload}).Err())
}
