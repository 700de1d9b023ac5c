package main_test

import (
	"net/url"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// Workers share a pooler that has fewer connections to PostgreSQL than each of them has to
// it, and that dies and freezes. One of them has never heard of DATABASE_URL.
func TestWorker_behindAPooler(t *testing.T) {
	s := newSite(t)
	server, err := url.Parse(s.databaseURL)
	must(t, err)
	pooler := testenv.PgBouncer(t, server.Host, "default_pool_size=2")
	through, err := url.Parse(pooler.URL(testenv.WorkerURL(s.databaseURL)))
	must(t, err)
	s.env = append(s.env, "DATABASE_URL="+through.String(), "WORKER_CONCURRENCY=20", "PROCESSING_MIN=0", "PROCESSING_MAX=20ms")
	workers := []*worker{s.start(), s.start(), s.start("DATABASE_URL=", "POSTGRES_SSLMODE=disable",
		"POSTGRES_HOST="+through.Hostname(), "POSTGRES_PORT="+through.Port(), "POSTGRES_USER="+testenv.WorkerRole,
		"POSTGRES_DB="+through.Path[1:])}
	for _, w := range workers {
		w.awaitStart()
	}
	die := func() {
		pooler.Kill()
		must(t, pooler.Restart())
	}
	freeze := func() {
		must(t, pooler.Pause())
		<-time.After(2 * time.Second) // how long the outage lasts
		must(t, pooler.Resume())
	}
	const orders = 300
	for _, ail := range []func(){die, freeze, die} {
		s.order(orders)
		testenv.Eventually(t, 20*time.Second, "half of them fulfilled", func() bool { return s.unfulfilled() < orders/2 })
		ail()
		s.awaitFulfilled(20 * time.Second)
	}
	s.nothingCharged()
	s.settled(workers...)
	for _, w := range workers {
		if n := len(w.said("a pooler stands before PostgreSQL, statements are not prepared")); n != 1 {
			t.Errorf("a worker says %d times that there is a pooler, want once", n)
		}
		if n := len(w.log("message failed")) + len(w.log("message is a dead letter")); n != 0 {
			t.Errorf("%d failures, want none", n)
		}
	}
}
