package queue_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func open() <-chan struct{} { return always }

// bench is a queue of the test's own on a real Redis, and a client to look at it
// with.
type bench struct {
	*testing.T
	rdb  *redis.Client
	keys queue.Keys
	cfg  queue.Config
	url  string
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	url, name := testenv.Redis(t)
	return benchAt(t, url, name)
}

func benchAt(t *testing.T, url, name string) *bench {
	return &bench{T: t, rdb: testenv.RedisClient(t, url), keys: queue.NewKeys(name), url: url, cfg: queue.Config{
		Name: name, Worker: "w", Version: "test", Concurrency: 4, Lease: time.Second, MaxDeliveries: 3,
		RetryInitial: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond,
		ShutdownTimeout: 2 * time.Second, MaxMessageBytes: 1000, Metrics: metrics.New(metrics.Worker{}),
	}}
}

// queue returns a queue with the settings of the bench, over a client of its own that
// connects to url.
func (b *bench) queue(url string, log *slog.Logger) *queue.Queue {
	b.Helper()
	return queue.New(b.dial(url), b.cfg, log)
}

// measured is queue whose calls of Redis are counted.
func (b *bench) measured(url string) *queue.Queue {
	b.Helper()
	rdb := b.dial(url)
	rdb.Measure(b.cfg.Metrics)
	return queue.New(rdb, b.cfg, silent())
}

// dial returns the worker's clients, connected to url.
func (b *bench) dial(url string) queue.Redis {
	b.Helper()
	opts, err := redis.ParseURL(url)
	must(b, err)
	rdb := queue.Dial(&redis.UniversalOptions{Addrs: []string{opts.Addr}, DB: opts.DB}, b.cfg.Concurrency, b.cfg.MaxMessageBytes)
	b.Cleanup(rdb.Close)
	return rdb
}

func silent() *slog.Logger { return logger.New(io.Discard, "test", slog.LevelError) }

// push queues the payloads, the first to be the first out.
func (b *bench) push(payloads ...string) {
	b.Helper()
	for _, p := range payloads {
		must(b, b.rdb.LPush(b.Context(), b.keys.Queue(), p).Err())
	}
}

// consume runs a consumer until the test or the returned function ends it; that
// waits until it has ended.
func (b *bench) consume(c *queue.Consumer, handle queue.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Consume(ctx, handle); err != nil {
			b.Errorf("Consume: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	b.Cleanup(stop)
	return stop
}

// run runs an actor until the test ends.
func (b *bench) run(actor func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = actor(ctx)
	}()
	b.Cleanup(func() {
		cancel()
		<-done
	})
}

// counted is a metric of whoever works with the bench's settings.
func (b *bench) counted(name string) float64 {
	w := httptest.NewRecorder()
	b.cfg.Metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	return testenv.Samples(w.Body.String())[name]
}

// list is what a list holds, the next to be taken first.
func (b *bench) list(key string) []string {
	b.Helper()
	all, err := b.rdb.LRange(b.Context(), key, 0, -1).Result()
	must(b, err)
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// charged is how many deliveries were charged to the payload.
func (b *bench) charged(payload string) int {
	b.Helper()
	n, err := b.rdb.HGet(b.Context(), b.keys.Deliveries(), queue.Digest([]byte(payload))).Int()
	if !errors.Is(err, redis.Nil) {
		must(b, err)
	}
	return n
}

// mark marks the payload as come back.
func (b *bench) mark(payload, how string) {
	b.Helper()
	must(b, b.rdb.HSet(b.Context(), b.keys.Returned(), queue.Digest([]byte(payload)), how).Err())
}

// marked is how the payload came back; "" is that nobody says so.
func (b *bench) marked(payload string) string {
	b.Helper()
	how, err := b.rdb.HGet(b.Context(), b.keys.Returned(), queue.Digest([]byte(payload))).Result()
	if !errors.Is(err, redis.Nil) {
		must(b, err)
	}
	return how
}

// dead are the dead letters, oldest first.
func (b *bench) dead() []map[string]any {
	b.Helper()
	entries, err := b.rdb.XRange(b.Context(), b.keys.Dead(), "-", "+").Result()
	must(b, err)
	var letters []map[string]any
	for _, e := range entries {
		letters = append(letters, e.Values)
	}
	return letters
}

// instances are the registered ones.
func (b *bench) instances() []string {
	b.Helper()
	all, err := b.rdb.ZRange(b.Context(), b.keys.Workers(), 0, -1).Result()
	must(b, err)
	return all
}

// events are the kinds of events, oldest first.
func (b *bench) events() string {
	b.Helper()
	entries, err := b.rdb.XRange(b.Context(), b.keys.Events(), "-", "+").Result()
	must(b, err)
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Values["event"].(string))
	}
	return strings.Join(kinds, " ")
}

// wantKeys fails unless exactly these keys are left of the queue.
func (b *bench) wantKeys(want ...string) {
	b.Helper()
	got := map[string]bool{}
	for _, pattern := range []string{b.keys.Queue(), b.keys.Pattern()} {
		found, err := b.rdb.Keys(b.Context(), pattern).Result()
		must(b, err)
		for _, k := range found {
			got[k] = true
		}
	}
	for _, k := range want {
		if !got[k] {
			b.Errorf("key %s is missing", k)
		}
		delete(got, k)
	}
	for k := range got {
		b.Errorf("key %s is left over", k)
	}
}

// recorder is a handler's memory.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) note(payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, string(payload))
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.seen...)
}

func (r *recorder) count() int { return len(r.all()) }
