package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

// The lease of the tests' workers, and how long after a death their orders may wait
// to be taken over: the lease and one second, as promised, and what a busy machine
// adds.
const (
	lease    = time.Second
	recovery = lease + time.Second + 2*time.Second
)

// site is a place where workers run: a queue and a database of the test's own.
type site struct {
	*testing.T
	redisURL, queueName string
	databaseURL         string // the superuser's
	rdb                 *redis.Client
	db                  *pgxpool.Pool
	keys                queue.Keys
	env                 []string // of every worker
}

func newSite(t *testing.T) *site {
	t.Parallel()
	redisURL, queueName := testenv.Redis(t)
	return siteAt(t, redisURL, queueName, testenv.Database(t))
}

func siteAt(t *testing.T, redisURL, queueName, databaseURL string) *site {
	return &site{
		T: t, redisURL: redisURL, queueName: queueName, databaseURL: databaseURL,
		rdb: testenv.RedisClient(t, redisURL), db: testenv.Pool(t, databaseURL), keys: queue.NewKeys(queueName),
		env: []string{
			"DATABASE_URL=" + testenv.WorkerURL(databaseURL), "REDIS_URL=" + redisURL, "QUEUE_NAME=" + queueName,
			"HTTP_ADDR=off", "LEASE_TTL=" + lease.String(), "PROCESSING_MIN=50ms", "PROCESSING_MAX=150ms",
			"RETRY_INITIAL=50ms", "RETRY_MAX=200ms", "WORKER_CONCURRENCY=4", "SHUTDOWN_TIMEOUT=5s",
		},
	}
}

// build compiles the worker once for each set of build tags.
var build = func() func(tb testing.TB, tags string) string {
	var mu sync.Mutex
	built := map[string]string{}
	return func(tb testing.TB, tags string) string {
		tb.Helper()
		mu.Lock()
		defer mu.Unlock()
		if path, ok := built[tags]; ok {
			return path
		}
		dir, err := os.MkdirTemp("", "worker-test-")
		must(tb, err)
		path := filepath.Join(dir, "worker")
		out, err := exec.Command("go", "build", "-race", "-tags", tags, "-o", path, ".").CombinedOutput()
		if err != nil {
			tb.Fatalf("go build: %v\n%s", err, out)
		}
		testenv.AtEnd(func() { _ = os.RemoveAll(dir) }) // it outlives the test that built it first
		built[tags] = path
		return path
	}
}()

// worker is a running process of the real binary.
type worker struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed

	mu    sync.Mutex
	lines []line
	raw   []string
	dying bool // its runtime may have something to say
}

// line is a line of its log.
type line struct {
	Timestamp     time.Time
	Level         string
	Message       string
	CorrelationID string `json:"correlation_id"`
	OrderID       int64  `json:"order_id"`
	Instance      string
	Error         string
	HandedBack    int `json:"handed_back"`
	Delivery      int
	TraceID       string `json:"trace_id"`
	SpanID        string `json:"span_id"`
}

// start runs a worker with further settings; it is killed when the test ends.
func (s *site) start(env ...string) *worker { return s.startBuild("", env...) }

// startCrashing runs a worker that dies, or freezes, at that crash point.
func (s *site) startCrashing(point string, env ...string) *worker {
	return s.startBuild("torture", append(env, "CRASHPOINT="+point)...)
}

func (s *site) startBuild(tags string, env ...string) *worker {
	s.Helper()
	return s.startBinary(build(s.T, tags), env...)
}

func (s *site) startBinary(path string, env ...string) *worker {
	s.Helper()
	w := &worker{t: s.T, cmd: exec.Command(path), done: make(chan struct{})}
	w.cmd.Env = append(append(append(os.Environ(), "GORACE=halt_on_error=1 atexit_sleep_ms=0"), s.env...), env...)
	out, in, err := os.Pipe()
	must(s, err)
	w.cmd.Stdout, w.cmd.Stderr = in, in
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(s, w.cmd.Start())
	must(s, in.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		w.read(out)
	}()
	go func() {
		w.err = w.cmd.Wait()
		<-read
		close(w.done)
	}()
	s.Cleanup(func() {
		w.signal(syscall.SIGCONT)
		w.kill()
		if s.Failed() {
			w.dump()
		}
	})
	return w
}

func (w *worker) read(r io.ReadCloser) {
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		err := json.Unmarshal(lines.Bytes(), &l)
		w.mu.Lock()
		w.raw = append(w.raw, lines.Text())
		if err == nil {
			w.lines = append(w.lines, l)
		}
		dying := w.dying
		w.mu.Unlock()
		if err != nil && !dying {
			w.t.Errorf("not a line of JSON: %s", lines.Text())
		}
	}
}

// mayDieTalking allows lines that are no JSON: Go's runtime tells how a process dies.
func (w *worker) mayDieTalking() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dying = true
}

func (w *worker) dump() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("log of worker %d:\n%s", w.cmd.Process.Pid, strings.Join(w.raw[max(0, len(w.raw)-60):], "\n"))
}

func (w *worker) signal(sig syscall.Signal) { _ = w.cmd.Process.Signal(sig) }

func (w *worker) kill() {
	w.signal(syscall.SIGKILL)
	<-w.done
}

// exit waits for the end of the process and returns its exit code; -1 is a signal.
func (w *worker) exit(within time.Duration) int {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(within):
		w.t.Fatalf("still running after %v", within)
	}
	var exited *exec.ExitError
	if errors.As(w.err, &exited) {
		return exited.ExitCode()
	}
	must(w.t, w.err)
	return 0
}

// diesOfItself waits until the process was killed by SIGKILL.
func (w *worker) diesOfItself() {
	w.t.Helper()
	if code := w.exit(20 * time.Second); code != -1 {
		w.t.Fatalf("it ended with exit code %d, want a SIGKILL of its own: the fault did not happen", code)
	}
}

// log returns the lines whose message begins so.
func (w *worker) log(prefix string) []line {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []line
	for _, l := range w.lines {
		if strings.HasPrefix(l.Message, prefix) {
			found = append(found, l)
		}
	}
	return found
}

// said returns the lines with exactly that message.
func (w *worker) said(message string) []line {
	var found []line
	for _, l := range w.log(message) {
		if l.Message == message {
			found = append(found, l)
		}
	}
	return found
}

func (w *worker) awaitLog(within time.Duration, prefix string) line {
	w.t.Helper()
	testenv.Eventually(w.t, within, fmt.Sprintf("a line %q", prefix), func() bool { return len(w.log(prefix)) > 0 })
	return w.log(prefix)[0]
}

func (w *worker) awaitStart() { w.awaitLog(20*time.Second, "Fulfillment Worker started") }

// insert makes n pending orders.
func (s *site) insert(n int) []int64 {
	s.Helper()
	rows, err := s.db.Query(s.Context(), `INSERT INTO orders (product_id, quantity) SELECT 1, 1 FROM generate_series(1, $1) RETURNING id`, n)
	must(s, err)
	var ids []int64
	for rows.Next() {
		var id int64
		must(s, rows.Scan(&id))
		ids = append(ids, id)
	}
	must(s, rows.Err())
	return ids
}

func payload(id int64) string {
	return fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1, "correlation_id": "c-%d", "timestamp": "2026-01-31T12:00:00.123456"}`, id, id)
}

func (s *site) push(payloads ...string) {
	s.Helper()
	for _, p := range payloads {
		must(s, s.rdb.LPush(s.Context(), s.keys.Queue(), p).Err())
	}
}

// order makes n orders and queues their messages.
func (s *site) order(n int) []int64 {
	s.Helper()
	ids := s.insert(n)
	for _, id := range ids {
		s.push(payload(id))
	}
	return ids
}

// orderAtOnce queues orders by one command.
func (s *site) orderAtOnce(n int) {
	s.Helper()
	var payloads []any
	for _, id := range s.insert(n) {
		payloads = append(payloads, payload(id))
	}
	must(s, s.rdb.LPush(s.Context(), s.keys.Queue(), payloads...).Err())
}

// unfulfilled counts the orders that are not fulfilled.
func (s *site) unfulfilled() (n int) {
	s.Helper()
	must(s, s.db.QueryRow(context.WithoutCancel(s.Context()), `SELECT count(*) FROM orders WHERE status <> 'fulfilled'`).Scan(&n))
	return n
}

func (s *site) awaitFulfilled(within time.Duration) {
	s.Helper()
	testenv.Eventually(s.T, within, "every order is fulfilled", func() bool { return s.unfulfilled() == 0 })
}

// settled fails unless the contract held for every order and nothing is left in Redis
// but the events, the reconciler's notes, and the dead letters where there may be any. Living workers are let
// alone.
func (s *site) settled(workers ...*worker) {
	s.Helper()
	for _, w := range workers {
		w.signal(syscall.SIGTERM)
	}
	for _, w := range workers {
		if code := w.exit(10 * time.Second); code != 0 {
			s.Errorf("a worker ended with exit code %d, want 0", code)
		}
	}
	testenv.CheckContract(s, s.databaseURL)
	allowed := map[string]bool{s.keys.Events(): true, s.keys.Dead(): true, s.keys.Looked(): true, s.keys.Reconciled(): true}
	for _, pattern := range []string{s.keys.Queue(), s.keys.Pattern()} {
		found, err := s.rdb.Keys(s.Context(), pattern).Result()
		must(s, err)
		for _, key := range found {
			if !allowed[key] {
				s.Errorf("left in Redis: %s", key)
			}
		}
	}
}

func (s *site) nothingCharged() {
	s.Helper()
	all, err := s.rdb.HGetAll(s.Context(), s.keys.Deliveries()).Result()
	must(s, err)
	if len(all) > 0 {
		s.Errorf("deliveries were charged: %v", all)
	}
}
