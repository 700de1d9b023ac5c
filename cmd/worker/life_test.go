package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

func TestWorker_fulfilsAndSaysSo(t *testing.T) {
	s := newSite(t)
	ids := s.order(10)
	w := s.start()
	s.awaitFulfilled(10 * time.Second)
	testenv.Eventually(t, 5*time.Second, "every order is logged", func() bool { return len(w.log("Order ")) == len(ids) })
	for _, id := range ids {
		for _, message := range []string{fmt.Sprintf("Processing order %d", id), fmt.Sprintf("Order %d fulfilled", id)} {
			lines := w.said(message)
			if len(lines) != 1 || lines[0].OrderID != id || lines[0].CorrelationID != fmt.Sprintf("c-%d", id) {
				t.Errorf("%q is logged as %+v", message, lines)
			}
		}
	}
	s.settled(w)
}

// Copies of an order, the same bytes or others, at once or later: it is worked once.
func TestWorker_worksCopiesOnce(t *testing.T) {
	s := newSite(t)
	ids := s.insert(30)
	for _, id := range ids {
		other := strings.Replace(payload(id), `"c-`, `"copy-`, 1)
		s.push(payload(id), other, payload(id))
	}
	a, b := s.start("WORKER_ID=a"), s.start("WORKER_ID=b")
	s.awaitFulfilled(20 * time.Second)
	for _, id := range ids[:10] {
		s.push(payload(id)) // long after
	}
	testenv.Eventually(t, 20*time.Second, "every copy is gone", func() bool {
		n, err := s.rdb.Exists(t.Context(), s.keys.Queue(), s.keys.Delayed()).Result()
		must(t, err)
		return n == 0
	})
	s.settled(a, b)
	if n := len(a.log("Processing order")) + len(b.log("Processing order")); n != len(ids) {
		t.Errorf("%d orders were worked %d times, want each once", len(ids), n)
	}
	if n := testenv.CountTakeovers(t, s.databaseURL); n != 0 {
		t.Errorf("%d take-overs, want none", n)
	}
}

func TestWorker_keepsBadMessages(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "MAX_DELIVERIES=3")
	bad := map[string]string{
		"not json": "malformed",
		`{"order_id": 0, "product_id": 1, "quantity": 1}`:              "invalid",
		`{"order_id": 99999999, "product_id": 1, "quantity": 1}`:       "unknown_order",
		`{"order_id": 99999999999999, "product_id": 1, "quantity": 1}`: "unknown_order",
		strings.Repeat("x", 70000):                                     "too_large",
	}
	for message := range bad {
		s.push(message)
	}
	s.order(5)
	w := s.start()
	s.awaitFulfilled(10 * time.Second)
	testenv.Eventually(t, 10*time.Second, "every bad message is a dead letter", func() bool {
		return s.rdb.XLen(t.Context(), s.keys.Dead()).Val() == int64(len(bad))
	})
	for _, letter := range s.rdb.XRange(t.Context(), s.keys.Dead(), "-", "+").Val() {
		message := letter.Values["payload"].(string)
		if got := letter.Values["reason"]; got != bad[message] {
			t.Errorf("%.40s is kept as %v, want %s", message, got, bad[message])
		}
	}
	s.settled(w)
}

// A message may come before its order's INSERT is committed.
func TestWorker_waitsForAnInsert(t *testing.T) {
	s := newSite(t)
	s.push(payload(1))
	w := s.start()
	w.awaitLog(20*time.Second, "message failed and will be retried")
	if ids := s.insert(1); ids[0] != 1 {
		t.Fatalf("the order is %d", ids[0])
	}
	s.awaitFulfilled(10 * time.Second)
	s.settled(w)
}

func TestWorker_stops(t *testing.T) {
	tests := []struct {
		name       string
		env        []string
		orders     int
		handedBack int
		within     time.Duration
	}{
		{"idle", nil, 0, 0, 3 * time.Second},
		{"with work that fits", []string{"PROCESSING_MIN=1s", "PROCESSING_MAX=1s"}, 4, 0, 5 * time.Second},
		{"with work that does not fit", []string{"PROCESSING_MIN=1m", "PROCESSING_MAX=1m", "ORDER_TIMEOUT=2m", "SHUTDOWN_TIMEOUT=300ms"}, 4, 4, 4 * time.Second},
		{"without any patience", []string{"PROCESSING_MIN=1m", "PROCESSING_MAX=1m", "ORDER_TIMEOUT=2m", "SHUTDOWN_TIMEOUT=0"}, 4, 4, 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.order(tt.orders)
			w := s.start(tt.env...)
			w.awaitStart()
			testenv.Eventually(t, 10*time.Second, "all are in hand", func() bool { return len(w.log("Processing order")) == tt.orders })
			w.signal(syscall.SIGTERM)
			if code := w.exit(tt.within); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			w.awaitLog(time.Second, "Fulfillment Worker shutting down")
			if left := w.log("left"); len(left) != 1 || left[0].HandedBack != tt.handedBack {
				t.Errorf("left as %+v, want %d handed back", left, tt.handedBack)
			}
			if n := s.rdb.LLen(t.Context(), s.keys.Queue()).Val(); int(n) != tt.handedBack {
				t.Errorf("%d messages in the queue, want %d", n, tt.handedBack)
			}
			s.nothingCharged()
			heir := s.start()
			heir.awaitStart()
			s.awaitFulfilled(5 * time.Second) // at once: no lease to wait for
			s.settled(heir)
		})
	}
}

func TestWorker_secondSignalEndsItAtOnce(t *testing.T) {
	s := newSite(t)
	s.order(1)
	w := s.start("PROCESSING_MIN=1m", "PROCESSING_MAX=1m", "ORDER_TIMEOUT=2m", "SHUTDOWN_TIMEOUT=1m")
	w.awaitLog(20*time.Second, "Processing order")
	w.signal(syscall.SIGINT)
	w.awaitLog(5*time.Second, "Fulfillment Worker shutting down")
	w.signal(syscall.SIGTERM)
	if code := w.exit(2 * time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	heir := s.start()
	s.awaitFulfilled(15 * time.Second)
	s.settled(heir)
}

func TestWorker_stopsWhileAServerIsAway(t *testing.T) {
	const bound = 5*time.Second + 2*time.Second // as promised, and what a busy machine adds
	for _, away := range []string{"redis", "postgres"} {
		for _, how := range []string{"refuses", "is silent"} {
			t.Run(away+" "+how, func(t *testing.T) {
				t.Parallel()
				redis, postgres := testenv.OwnRedis(t), testenv.OwnPostgres(t)
				s := siteAt(t, redis.URL(), "q", postgres.URL("orders"))
				s.order(2)
				w := s.start("PROCESSING_MIN=1s", "PROCESSING_MAX=1s", "SHUTDOWN_TIMEOUT=2s")
				w.awaitLog(20*time.Second, "Processing order")
				switch away + " " + how {
				case "redis refuses":
					redis.Kill()
				case "redis is silent":
					must(t, redis.Pause())
				case "postgres refuses":
					postgres.Kill()
				case "postgres is silent":
					must(t, postgres.Pause())
				}
				w.signal(syscall.SIGTERM)
				if code := w.exit(bound); code != 0 {
					t.Errorf("exit code %d, want 0", code)
				}
			})
		}
	}
}

func TestWorker_cannotStart(t *testing.T) {
	redisURL, _ := testenv.Redis(t)
	database := testenv.Database(t)
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"without PostgreSQL", []string{"DATABASE_URL=postgres://u:canary@127.0.0.1:1/orders", "REDIS_URL=" + redisURL}, "POSTGRES_*: STARTUP_TIMEOUT is over"},
		{"without Redis", []string{"DATABASE_URL=" + database, "REDIS_URL=redis://:canary@127.0.0.1:1"}, "REDIS_URL: STARTUP_TIMEOUT is over"},
		{"with a taken address", []string{"DATABASE_URL=" + database, "REDIS_URL=" + redisURL, "HTTP_ADDR=" + strings.TrimPrefix(redisURL, "redis://")}, "HTTP_ADDR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &site{T: t}
			w := s.start(append([]string{"STARTUP_TIMEOUT=1s", "HTTP_ADDR=off"}, tt.env...)...)
			if code := w.exit(10 * time.Second); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			last := w.log("")[len(w.log(""))-1]
			if last.Level != "error" || !strings.Contains(last.Error, tt.want) {
				t.Errorf("the last line is %+v, want an error with %q", last, tt.want)
			}
			for _, text := range w.raw {
				if strings.Contains(text, "canary") {
					t.Errorf("a secret shows: %s", text)
				}
			}
		})
	}
}

func TestWorker_stopsWhileItWaitsForAServer(t *testing.T) {
	t.Parallel()
	s := &site{T: t}
	w := s.start("DATABASE_URL=postgres://u@127.0.0.1:1/orders", "HTTP_ADDR=off")
	w.awaitLog(10*time.Second, "cannot reach the orders table")
	w.signal(syscall.SIGTERM)
	if code := w.exit(5 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// While PostgreSQL is away nothing is claimed, what is in hand is kept, and no delivery
// is charged.
func TestWorker_waitsForPostgres(t *testing.T) {
	t.Parallel()
	postgres := testenv.OwnPostgres(t)
	redisURL, queueName := testenv.Redis(t)
	s := siteAt(t, redisURL, queueName, postgres.URL("orders"))
	w := s.start("LEASE_TTL=3s") // longer than a busy machine stands still, shorter than the outage
	w.awaitStart()
	for range 3 {
		ids := s.order(20)
		testenv.Eventually(t, 10*time.Second, "work is going on", func() bool { return s.unfulfilled() < len(ids) })
		postgres.Kill()
		<-time.After(noticed)
		waiting := s.rdb.LLen(t.Context(), s.keys.Queue()).Val()
		s.push("late")
		<-time.After(time.Second)
		if n := s.rdb.LLen(t.Context(), s.keys.Queue()).Val(); n != waiting+1 {
			t.Errorf("%d messages wait, want %d: it claimed during the outage", n, waiting+1)
		}
		must(t, postgres.Restart())
		s.awaitFulfilled(20 * time.Second)
	}
	s.nothingCharged()
	if code := stop(w); code != 0 {
		t.Errorf("exit code %d", code)
	}
	testenv.CheckContract(t, s.databaseURL)
}

func stop(w *worker) int {
	w.signal(syscall.SIGTERM)
	return w.exit(10 * time.Second)
}

func TestWorker_tellsItsHealth(t *testing.T) {
	t.Parallel()
	redis, postgres := testenv.OwnRedis(t), testenv.OwnPostgres(t)
	s := siteAt(t, redis.URL(), "q", postgres.URL("orders"))
	h := newHealth(t)
	w := s.start(h.setting())
	w.awaitStart()
	h.ready(200)
	redis.Kill()
	h.ready(503)
	must(t, redis.Restart())
	h.ready(200)
	must(t, redis.Pause())
	h.ready(503)
	must(t, redis.Resume())
	h.ready(200)
	must(t, s.rdb.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	h.ready(503)
	must(t, s.rdb.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	h.ready(200)
	postgres.Kill()
	h.ready(503)
	must(t, postgres.Restart())
	h.ready(200)
	must(t, postgres.Pause())
	h.ready(503)
	must(t, postgres.Resume())
	h.ready(200)
	if code := stop(w); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Everything was down while orders piled up; then everything starts at once. The backlog is
// worked off over no more connections than the workers may have.
func TestWorker_drainsABacklog(t *testing.T) {
	t.Parallel()
	redis, postgres := testenv.OwnRedis(t, "--appendfsync", "always"), testenv.OwnPostgres(t)
	s := siteAt(t, redis.URL(), "q", postgres.URL("orders"))
	var backlog []string
	for _, id := range s.insert(3000) {
		backlog = append(backlog, payload(id))
	}
	s.pushAll(backlog)
	redis.Kill()
	postgres.Kill()
	s.env = append(s.env, "PROCESSING_MIN=0", "PROCESSING_MAX=0", "WORKER_CONCURRENCY=30", "POSTGRES_MAX_CONNS=3", "LEASE_TTL=5s")
	workers := []*worker{s.start("WORKER_ID=a"), s.start("WORKER_ID=b"), s.start("WORKER_ID=c")}
	for _, w := range workers {
		w.awaitLog(20*time.Second, "cannot reach the orders table")
	}
	must(t, postgres.Restart())
	must(t, redis.Restart())
	s.db.Reset() // its connections are broken
	begin, most := time.Now(), 0
	testenv.Eventually(t, 60*time.Second, "the backlog is worked off", func() bool {
		var connected, open int
		must(t, s.db.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = $1),
				(SELECT count(*) FROM orders WHERE status <> 'fulfilled')`, testenv.WorkerRole).Scan(&connected, &open))
		most = max(most, connected)
		return open == 0
	})
	t.Logf("%d orders in %v over at most %d connections", len(backlog), time.Since(begin).Round(time.Millisecond), most)
	if want := 3 * len(workers); most > want {
		t.Errorf("%d connections to PostgreSQL, want at most %d", most, want)
	}
	s.nothingCharged()
	s.settled(workers...)
}
