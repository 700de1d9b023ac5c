package main_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// What the tests' reconcilers are set to, and by when an order that Redis has lost is in
// the queue again: as promised, and what a busy machine adds.
const (
	reconcileAfter    = 2 * time.Second
	reconcileInterval = time.Second
	reconciled        = reconcileAfter + reconcileInterval + 2*time.Second + 4*time.Second
)

// reconciling is a site whose workers look for what Redis has lost.
func reconciling(s *site) *site {
	s.env = append(s.env, "RECONCILE_AFTER="+reconcileAfter.String(), "RECONCILE_INTERVAL="+reconcileInterval.String(), "MAX_DELIVERIES=1000")
	return s
}

// Redis loses something again and again while orders are in every place: each is
// fulfilled once all the same.
func TestWorker_healsWhatRedisLoses(t *testing.T) {
	losses := []struct {
		name string
		lose func(*site) (messages int64)
		back bool // nobody but the reconciler can bring them back
	}{
		{"everything", func(s *site) int64 {
			n := s.waiting() + s.inHand()
			s.do("flushall")
			return n
		}, true},
		{"the scripts, too", func(s *site) int64 {
			n := s.waiting() + s.inHand()
			s.do("script", "flush")
			s.do("flushall")
			return n
		}, true},
		{"the queue", func(s *site) int64 {
			n := s.waiting()
			s.do("del", s.keys.Queue())
			return n
		}, true},
		{"the queue's name", func(s *site) int64 {
			n := s.waiting()
			s.do("rename", s.keys.Queue(), "elsewhere")
			return n
		}, true},
		{"what is in hand", func(s *site) (n int64) {
			for _, list := range s.lists() { // whoever holds it finishes it, or has it taken over
				n += s.rdb.Del(s.Context(), list).Val()
			}
			return n
		}, false},
	}
	for _, tt := range losses {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			own := testenv.OwnRedis(t)
			s := reconciling(siteAt(t, own.URL(), "q", testenv.Database(t)))
			a, b := s.start("WORKER_ID=a"), s.start("WORKER_ID=b")
			a.awaitStart()
			b.awaitStart()
			for range 3 {
				s.order(40)
				testenv.Eventually(t, 10*time.Second, "orders are in hand", func() bool { return s.inHand() > 0 })
				if tt.lose(s) == 0 {
					t.Error("nothing was lost: the fault did not happen")
				}
				s.awaitFulfilled(reconciled)
			}
			if tt.back && s.rdb.Exists(t.Context(), s.keys.Reconciled()).Val() == 0 {
				t.Error("the reconciler has put nothing back")
			}
			must(t, s.rdb.Del(t.Context(), "elsewhere").Err())
			s.settled(a, b)
		})
	}
}

func (s *site) waiting() int64 { return s.rdb.LLen(s.Context(), s.keys.Queue()).Val() }

// lists are the processing lists of all workers.
func (s *site) lists() []string {
	s.Helper()
	lists, err := s.rdb.Keys(s.Context(), s.keys.ProcessingPattern()).Result()
	must(s, err)
	return lists
}

// inHand counts the messages that workers hold.
func (s *site) inHand() (n int64) {
	s.Helper()
	for _, list := range s.lists() {
		n += s.rdb.LLen(s.Context(), list).Val()
	}
	return n
}

// A producer dies between INSERT and LPUSH, a hundred times.
func TestWorker_healsWhatProducersLeave(t *testing.T) {
	s := reconciling(newSite(t))
	w := s.start("WORKER_CONCURRENCY=20")
	w.awaitStart()
	s.insert(100)
	s.awaitFulfilled(reconciled + 3*time.Second)
	begun := w.log("Processing order")
	if len(begun) != 100 {
		t.Errorf("%d orders were begun, want 100", len(begun))
	}
	for _, l := range begun {
		if !strings.HasPrefix(l.CorrelationID, "reconciled-") {
			t.Errorf("its correlation id does not say where it comes from: %+v", l)
		}
	}
	if n := s.rdb.Get(t.Context(), s.keys.Reconciled()).Val(); n != "100" {
		t.Errorf("%s orders were put back, want 100", n)
	}
	s.settled(w)
}

// Without a reconciler nobody puts back what Redis has lost.
func TestWorker_reconcilesOnlyIfTold(t *testing.T) {
	s := newSite(t)
	s.insert(1)
	off := []*worker{
		s.start("RECONCILE_INTERVAL=0", "RECONCILE_AFTER=1s"),
		s.start("RECONCILE_INTERVAL=1s", "RECONCILE_AFTER=0"),
	}
	for _, w := range off {
		w.awaitStart()
	}
	<-time.After(2500 * time.Millisecond) // time enough for a look
	if s.unfulfilled() == 0 {
		t.Error("the order was put back")
	}
	on := s.start("RECONCILE_INTERVAL=1s", "RECONCILE_AFTER=1s")
	s.awaitFulfilled(20 * time.Second)
	s.settled(append(off, on)...)
}

// A reconciler dies between its look and what it would queue; the next one does it.
func TestWorker_reconcilerKilled(t *testing.T) {
	s := reconciling(newSite(t))
	s.insert(20)
	s.startCrashing("reconciling").diesOfItself()
	if n := s.rdb.LLen(t.Context(), s.keys.Queue()).Val(); n != 0 {
		t.Fatalf("%d messages are queued: it died too late", n)
	}
	heir := s.start()
	heir.awaitStart()
	s.awaitFulfilled(reconciled)
	testenv.Eventually(t, 10*time.Second, "the dead one is reaped", func() bool {
		return s.rdb.ZCard(t.Context(), s.keys.Workers()).Val() == 1
	})
	s.settled(heir)
}

// A long backlog is not queued a second time, and dead letters are not resurrected.
func TestWorker_reconcilesNoBacklog(t *testing.T) {
	s := reconciling(newSite(t))
	ids := s.order(1500)
	poison := s.insert(1)[0]
	s.push(strings.Replace(payload(poison), `"quantity": 1`, `"quantity": 0`, 1))
	slow := s.start("WORKER_CONCURRENCY=1", "PROCESSING_MIN=1s", "PROCESSING_MAX=1s")
	slow.awaitStart()
	<-time.After(reconcileAfter + 2*reconcileInterval) // looks at a backlog that is old
	fast := s.start("WORKER_CONCURRENCY=100", "PROCESSING_MIN=0", "PROCESSING_MAX=0")
	testenv.Eventually(t, 60*time.Second, "all but the dead letter are fulfilled", func() bool { return s.unfulfilled() == 1 })
	testenv.Eventually(t, 10*time.Second, "the last is a dead letter", func() bool { return s.rdb.XLen(t.Context(), s.keys.Dead()).Val() == 1 })
	<-time.After(reconcileAfter + 2*reconcileInterval) // looks at a dead letter that is old
	if n := s.rdb.Exists(t.Context(), s.keys.Reconciled()).Val(); n != 0 {
		t.Errorf("of %d orders that were all in Redis some were put back", len(ids)+1)
	}
	testenv.Eventually(t, 10*time.Second, "somebody looks", func() bool { return s.rdb.Exists(t.Context(), s.keys.Looked()).Val() == 1 })
	if n := s.rdb.XLen(t.Context(), s.keys.Dead()).Val(); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
	s.settled(slow, fast)
}

// Redis is killed and comes back without the end of its AOF, cut anywhere: what was
// settled comes again, what was queued is gone. Every order is fulfilled once.
func TestWorker_healsALostTail(t *testing.T) {
	t.Parallel()
	own := testenv.OwnRedis(t, "--appendfsync", "always")
	s := reconciling(siteAt(t, own.URL(), "q", testenv.Database(t)))
	workers := []*worker{s.start("WORKER_ID=a"), s.start("WORKER_ID=b")}
	for _, w := range workers {
		w.awaitStart()
	}
	dir := s.rdb.ConfigGet(t.Context(), "dir").Val()["dir"]
	for round := range 8 {
		producing, stop := context.WithCancel(t.Context())
		ids := s.insert(200)
		var producer sync.WaitGroup
		producer.Go(func() {
			for _, id := range ids {
				if s.rdb.LPush(producing, s.keys.Queue(), payload(id)).Err() != nil {
					return // the rest is the reconciler's
				}
			}
		})
		testenv.Eventually(t, 10*time.Second, "orders are in hand", func() bool { return s.inHand() > 0 })
		aof := onlyAOF(t, dir)
		before := size(t, aof)
		testenv.Eventually(t, 10*time.Second, "some AOF is written", func() bool { return size(t, aof) > before+1000*int64(round+1) })
		own.Kill()
		stop()
		producer.Wait()
		must(t, os.Truncate(aof, before+(size(t, aof)-before)/2+int64(round))) // in the middle of a command, too
		must(t, own.Restart())
		s.awaitFulfilled(reconciled + 5*time.Second)
	}
	s.settled(workers...)
}

// onlyAOF is the file that grows: the tests make too little for a rewrite.
func onlyAOF(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the AOFs in %s are %v, %v; want one", dir, files, err)
	}
	return files[0]
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	return info.Size()
}

// A PostgreSQL that acknowledges what it has not written forgets that orders were
// fulfilled. Their messages are gone; they are fulfilled again.
func TestWorker_healsWhatPostgresForgets(t *testing.T) {
	t.Parallel()
	postgres := testenv.OwnPostgres(t, "synchronous_commit=off", "wal_writer_delay=10s", "wal_writer_flush_after=1GB")
	redisURL, queueName := testenv.Redis(t)
	s := reconciling(siteAt(t, redisURL, queueName, postgres.URL("orders")))
	w := s.start("PROCESSING_MIN=0", "PROCESSING_MAX=0")
	w.awaitStart()
	forgotten := 0
	for round := 0; forgotten == 0 && round < 10; round++ { // it may write in time
		ids := s.insert(40)
		must(t, s.db.QueryRow(t.Context(), `SELECT pg_switch_wal()::text`).Scan(new(string))) // they are written
		for _, id := range ids {
			s.push(payload(id))
		}
		s.awaitFulfilled(10 * time.Second)
		testenv.Eventually(t, 5*time.Second, "every message is forgotten", func() bool {
			return s.rdb.Exists(t.Context(), s.keys.Queue()).Val() == 0 && s.inHand() == 0
		})
		postgres.Kill()
		must(t, postgres.Restart())
		s.db.Reset() // its connections are broken
		forgotten = s.unfulfilled()
	}
	if forgotten == 0 {
		t.Fatal("it forgot nothing: the fault did not happen")
	}
	s.awaitFulfilled(reconciled)
	s.settled(w)
}
