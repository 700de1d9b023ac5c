package testenv_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fulfillment-worker/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestRedis_deletesItsQueueOnly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url, other := testenv.Redis(t)
	rdb := testenv.RedisClient(t, url)
	must(t, rdb.LPush(ctx, other, "stays").Err())

	var queue string
	t.Run("a test that leaves keys", func(t *testing.T) {
		_, queue = testenv.Redis(t)
		must(t, rdb.LPush(ctx, queue, "goes").Err())
		must(t, rdb.LPush(ctx, "{"+queue+"}:processing:a", "goes").Err())
	})
	if queue == other {
		t.Fatalf("two tests share the queue %s", queue)
	}
	for key, want := range map[string]int64{queue: 0, "{" + queue + "}:processing:a": 0, other: 1} {
		if got, err := rdb.Exists(ctx, key).Result(); err != nil || got != want {
			t.Errorf("%s exists %d times, %v, want %d", key, got, err, want)
		}
	}
}

func TestOwnRedis(t *testing.T) {
	t.Parallel()
	shared, _ := testenv.Redis(t)
	r := testenv.OwnRedis(t, "--maxmemory", "64mb")
	if r.URL() == shared {
		t.Error("it is the shared one")
	}
	got, err := testenv.RedisClient(t, r.URL()).ConfigGet(t.Context(), "maxmemory").Result()
	must(t, err)
	if got["maxmemory"] != "67108864" {
		t.Errorf("maxmemory is %s, want 64mb", got["maxmemory"])
	}
}

func TestDatabase_isTheTestsOwn(t *testing.T) {
	t.Parallel()
	a := testenv.Database(t)
	var b string
	t.Run("another test", func(t *testing.T) {
		b = testenv.Database(t)
		insert(t, b, "pending")
	})
	var orders int
	must(t, testenv.Pool(t, a).QueryRow(t.Context(), `SELECT count(*) FROM orders`).Scan(&orders))
	if orders != 0 {
		t.Errorf("it has %d orders, want none", orders)
	}
	if err := testenv.Pool(t, b).Ping(t.Context()); err == nil {
		t.Error("the other test's database outlived it")
	}
}

func TestOwnPostgres(t *testing.T) {
	t.Parallel()
	url := testenv.OwnPostgres(t, "work_mem=5MB").URL("orders")
	id := insert(t, url, "pending")
	update(t, testenv.WorkerURL(url), id, "processing")
	testenv.CheckContract(t, url)
}

func TestWorkerURL_rights(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	insert(t, url, "pending")
	tests := []struct {
		sql     string
		allowed bool
	}{
		{`SELECT id, product_id, quantity, status, created_at, updated_at FROM orders`, true},
		{`SELECT id FROM orders FOR UPDATE SKIP LOCKED`, true},
		{`UPDATE orders SET status = 'processing', updated_at = now()`, true},
		{`UPDATE orders SET quantity = 9`, false},
		{`UPDATE orders SET id = 9`, false},
		{`INSERT INTO orders (product_id, quantity) VALUES (1, 1)`, false},
		{`DELETE FROM orders`, false},
		{`TRUNCATE orders`, false},
		{`ALTER TABLE orders DISABLE TRIGGER ALL`, false},
		{`CREATE INDEX ON orders (status)`, false},
		{`CREATE TABLE mine (id int)`, false},
		{`CREATE TEMPORARY TABLE mine (id int)`, false},
		{`SELECT FROM audit`, false},
		{`DELETE FROM audit`, false},
	}
	for _, tt := range tests {
		t.Run(tt.sql, func(t *testing.T) {
			_, err := testenv.Pool(t, testenv.WorkerURL(url)).Exec(t.Context(), tt.sql)
			var refused *pgconn.PgError
			if tt.allowed {
				must(t, err)
			} else if !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("the error is %v, want one about rights", err)
			}
		})
	}
}

func TestCheckContract(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		first     string
		then      []string
		takeovers int
		want      []string // in its errors, one each
	}{
		{"an order's life", "pending", []string{"processing", "fulfilled"}, 0, nil},
		{"taken over twice", "pending", []string{"processing", "processing", "processing", "fulfilled"}, 2, nil},
		{"not begun", "pending", nil, 0, nil},
		{"begun as something else", "cancelled", nil, 0, nil},
		{"past processing", "pending", []string{"fulfilled"}, 0, []string{"pending → fulfilled"}},
		{"back to pending", "pending", []string{"processing", "pending"}, 0, []string{"processing → pending"}},
		{"to what is not ours", "pending", []string{"processing", "failed"}, 0, []string{"processing → failed"}},
		{"a touch of a pending order", "pending", []string{"pending"}, 0, []string{"pending → pending"}},
		{"a touch of a fulfilled order", "pending", []string{"processing", "fulfilled", "fulfilled"}, 0, []string{"forbidden step, order 1: fulfilled → fulfilled"}},
		{"fulfilled twice", "pending", []string{"processing", "fulfilled", "processing", "fulfilled"}, 0, []string{"fulfilled → processing", "fulfilled again"}},
		{"begun as fulfilled, then fulfilled", "fulfilled", []string{"processing", "fulfilled"}, 0, []string{"fulfilled → processing", "fulfilled again"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := testenv.Database(t)
			id := insert(t, url, tt.first)
			for _, status := range tt.then {
				update(t, testenv.WorkerURL(url), id, status)
			}
			spy := &spy{TB: t}
			testenv.CheckContract(spy, url)
			if len(spy.errors) != len(tt.want) {
				t.Fatalf("it found %q, want %q", spy.errors, tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(spy.errors[i], want) {
					t.Errorf("it found %q, want %q", spy.errors[i], want)
				}
			}
			if got := testenv.CountTakeovers(t, url); got != tt.takeovers {
				t.Errorf("it counts %d takeovers, want %d", got, tt.takeovers)
			}
		})
	}
}

func TestAudit_knowsNothingOfARollback(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	id := insert(t, url, "pending")
	undone := errors.New("undone")
	err := pgx.BeginFunc(t.Context(), testenv.Pool(t, testenv.WorkerURL(url)), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE orders SET status = 'fulfilled' WHERE id = $1`, id)
		return errors.Join(err, undone)
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	steps, err := testenv.Audit(t.Context(), url)
	must(t, err)
	if len(steps) != 1 || steps[0].New != "pending" || steps[0].OrderID != id || steps[0].XID == 0 || steps[0].At.IsZero() {
		t.Errorf("the audit has %+v, want the INSERT alone", steps)
	}
}

func TestEventually(t *testing.T) {
	t.Parallel()
	calls := 0
	testenv.Eventually(t, time.Minute, "the third call", func() bool { calls++; return calls == 3 })

	spy := &spy{TB: t}
	done := make(chan struct{})
	go func() { // Fatal ends its goroutine
		defer close(done)
		testenv.Eventually(spy, 20*time.Millisecond, "the end of the world", func() bool { return false })
	}()
	<-done
	if got, want := strings.Join(spy.errors, ""), "after 20ms: still not the end of the world"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// spy is a test that keeps its errors to itself.
type spy struct {
	testing.TB
	errors []string
}

func (s *spy) Error(args ...any) { s.errors = append(s.errors, fmt.Sprint(args...)) }

func (s *spy) Fatalf(format string, args ...any) {
	s.errors = append(s.errors, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func insert(t *testing.T, url, status string) (id int64) {
	t.Helper()
	must(t, testenv.Pool(t, url).QueryRow(t.Context(),
		`INSERT INTO orders (product_id, quantity, status) VALUES (3, 2, $1) RETURNING id`, status).Scan(&id))
	return id
}

func update(t *testing.T, url string, id int64, status string) {
	t.Helper()
	tag, err := testenv.Pool(t, url).Exec(t.Context(), `UPDATE orders SET status = $2 WHERE id = $1`, id, status)
	must(t, err)
	if tag.RowsAffected() != 1 {
		t.Fatalf("there is no order %d", id)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
