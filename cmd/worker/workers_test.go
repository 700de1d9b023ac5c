package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// stat reads the fields of /proc/<pid>/stat that follow the name: the state is the first.
func (w *worker) stat() []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	must(w.t, err)
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// freezesOfItself waits until the process was stopped by SIGSTOP.
func (w *worker) freezesOfItself() {
	w.t.Helper()
	testenv.Eventually(w.t, 20*time.Second, "the process frozen", func() bool { return w.stat()[0] == "T" })
}

// happened counts the rare events of that kind.
func (s *site) happened(event string) (n int) {
	s.Helper()
	events, err := s.rdb.XRange(s.Context(), s.keys.Events(), "-", "+").Result()
	must(s, err)
	for _, e := range events {
		if e.Values["event"] == event {
			n++
		}
	}
	return n
}

// finished are the orders that a worker says to have fulfilled.
func (w *worker) finished() (n int) {
	for _, l := range w.log("Order ") {
		if strings.HasSuffix(l.Message, " fulfilled") {
			n++
		}
	}
	return n
}

// refused are the finishes of a worker that came too late.
func (w *worker) refused() int {
	return len(w.said("Order was taken over, nothing changed")) + len(w.said("Order was fulfilled by its new holder, nothing changed"))
}

// frozenFor is how long a worker is frozen that shall be presumed dead for sure.
const frozenFor = 3 * lease

// Workers freeze at each step with their hands full, are taken over, and wake: they
// finish nothing, and the rest of their work is dropped.
func TestWorker_frozenAtEachStep(t *testing.T) {
	tests := []struct {
		point  string
		orders int
	}{
		{"claimed:1:stop", 10},
		{"row_claimed:10:stop", 10},
		{"working:10:stop", 10},
		{"worked:1:stop", 10},
	}
	for _, tt := range tests {
		t.Run(tt.point, func(t *testing.T) {
			s := newSite(t)
			s.env = append(s.env, "WORKER_CONCURRENCY=10", "PROCESSING_MIN=500ms", "PROCESSING_MAX=500ms", "POSTGRES_MAX_CONNS=10")
			zombie := s.startCrashing(tt.point, "WORKER_ID=zombie")
			zombie.awaitStart()
			s.order(tt.orders)
			zombie.freezesOfItself()
			<-time.After(frozenFor)
			finished := zombie.finished() // of its own right
			heir := s.start("WORKER_ID=heir")
			s.awaitFulfilled(20 * time.Second)
			zombie.signal(syscall.SIGCONT)
			zombie.awaitLog(10*time.Second, "joined anew")
			s.settled(zombie, heir)
			if n := zombie.finished(); n != finished {
				t.Errorf("the zombie finished %d orders", n-finished)
			}
			if strings.HasPrefix(tt.point, "worked") && zombie.refused() == 0 {
				t.Error("it tried to finish none: the fault did not happen")
			}
		})
	}
}

// A worker is frozen while its UPDATEs are under way; they arrive when its orders are in
// other hands, or done, and change nothing.
func TestWorker_lateUpdatesChangeNothing(t *testing.T) {
	tests := []struct {
		name string
		heir []string
	}{
		{"while the heir works", []string{"PROCESSING_MIN=4s", "PROCESSING_MAX=4s"}},
		{"when the heir is done", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			const orders = 30
			p.env = append(p.env, "WORKER_CONCURRENCY=30", "POSTGRES_MAX_CONNS=40", "LEASE_TTL="+lease.String(), "PROCESSING_MIN=0", "PROCESSING_MAX=100ms")
			var tooLate atomic.Int64
			p.proxy.LoseReplies(1, "SET status = 'fulfilled'", func(reply []byte) bool {
				if bytes.Contains(reply, []byte("UPDATE 0")) {
					tooLate.Add(1)
				}
				return false // none is lost
			})
			release := p.proxy.KeepRequests("SET status = 'fulfilled'")
			defer release()
			zombie := p.start("WORKER_ID=zombie")
			zombie.awaitStart()
			p.order(orders)
			testenv.Eventually(t, 20*time.Second, "every order in work", func() bool { return len(zombie.log("Processing order")) == orders })
			<-time.After(time.Second) // until the last has gathered behind those UPDATEs that have no answer, and is under way
			updates := int64(p.proxy.Kept())
			zombie.signal(syscall.SIGSTOP)

			direct := "DATABASE_URL=" + testenv.WorkerURL(p.databaseURL)
			heir := p.start(append(tt.heir, "WORKER_ID=heir", direct, "HTTP_ADDR=off")...)
			testenv.Eventually(t, 20*time.Second, "all taken over", func() bool { return testenv.CountTakeovers(t, p.databaseURL) == orders })
			if tt.heir == nil {
				p.awaitFulfilled(20 * time.Second)
			}
			release()
			testenv.Eventually(t, 10*time.Second, "every UPDATE come too late", func() bool { return updates > 0 && tooLate.Load() >= updates })
			zombie.signal(syscall.SIGCONT)
			zombie.awaitLog(10*time.Second, "joined anew")
			p.awaitFulfilled(20 * time.Second)
			p.settled(zombie, heir)
			// Of an order that is fulfilled it cannot know by whom, if the answer was too late for it.
			if n := zombie.finished(); n != 0 && tt.heir != nil {
				t.Errorf("the zombie finished %d orders", n)
			}
		})
	}
}

// Workers that only Redis does not reach are presumed dead; what they finish then, with
// PostgreSQL at hand, is refused.
func TestWorker_cutOffFromRedis(t *testing.T) {
	s := newSite(t)
	proxy := testenv.NewProxy(t, s.rdb.Options().Addr)
	const victims, rounds, each = 5, 2, 3
	cutOff := make([]*worker, victims)
	for i := range cutOff {
		cutOff[i] = s.start(fmt.Sprintf("WORKER_ID=victim%d", i), "REDIS_URL=redis://"+proxy.Addr(),
			"PROCESSING_MIN=8s", "PROCESSING_MAX=8s", fmt.Sprint("WORKER_CONCURRENCY=", each)) // a busy heir may be late
		cutOff[i].awaitStart()
	}
	for round := range rounds {
		s.order(victims * each)
		testenv.Eventually(t, 20*time.Second, "the victims have all in hand", func() bool {
			for _, w := range cutOff {
				if len(w.log("Processing order")) != (round+1)*each {
					return false
				}
			}
			return true
		})
		proxy.Deafen()
		heir := s.start("WORKER_ID=heir", "PROCESSING_MIN=0", "PROCESSING_MAX=50ms")
		s.awaitFulfilled(20 * time.Second)
		testenv.Eventually(t, 20*time.Second, "the victims' finishes refused", func() bool {
			for _, w := range cutOff {
				if w.refused() < (round+1)*each {
					return false
				}
			}
			return true
		})
		if code := stop(heir); code != 0 {
			t.Errorf("the heir ended with exit code %d", code)
		}
		proxy.Hear()
		testenv.Eventually(t, 20*time.Second, "the victims back", func() bool {
			for _, w := range cutOff {
				if len(w.log("joined anew")) != round+1 {
					return false
				}
			}
			return true
		})
	}
	if n := s.happened("reaped"); n != victims*rounds {
		t.Errorf("%d reaped, want %d: each in each round", n, victims*rounds)
	}
	for _, w := range cutOff {
		if n := w.finished(); n != 0 {
			t.Errorf("a victim finished %d orders", n)
		}
	}
	s.settled(cutOff...)
}

// A worker that only PostgreSQL does not reach keeps its orders and its lease, and takes
// no further ones; another goes on.
func TestWorker_cutOffFromPostgres(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.w = p.start("WORKER_ID=victim", "LEASE_TTL="+lease.String(), "WORKER_CONCURRENCY=5")
	p.w.awaitStart()
	held := p.order(5)
	testenv.Eventually(t, 10*time.Second, "all in hand", func() bool { return len(p.w.log("Processing order")) == len(held) })
	p.proxy.Deafen()
	p.health.ready(503)
	p.calm(noticed) // the work may have been done before, and a last BLMOVE wait
	neighbour := p.start("WORKER_ID=neighbour", "DATABASE_URL="+testenv.WorkerURL(p.databaseURL), "HTTP_ADDR=off", "PROCESSING_MIN=0", "PROCESSING_MAX=50ms")
	neighbour.awaitStart()
	others := p.order(50)
	testenv.Eventually(t, 10*time.Second, "all others fulfilled", func() bool { return p.unfulfilled() == len(held) })
	p.calm(4 * lease)
	p.proxy.Hear()
	p.awaitFulfilled(resumed)
	if n := p.happened("reaped") + testenv.CountTakeovers(t, p.databaseURL); n != 0 {
		t.Errorf("%d reaped or taken over, want none: the victim was alive", n)
	}
	if n := len(neighbour.log("Processing order")); n != len(others) {
		t.Errorf("the neighbour worked %d orders, want %d", n, len(others))
	}
	if code := stop(neighbour); code != 0 {
		t.Errorf("the neighbour ended with exit code %d", code)
	}
	p.workedOnce(len(held))
}

// With two hundred orders in hand and hardly any processor, heartbeats keep the lease.
func TestWorker_starved(t *testing.T) {
	s := newSite(t)
	const orders = 400
	w := s.start("WORKER_ID=starved", "WORKER_CONCURRENCY=200", "GOMAXPROCS=1", "LEASE_TTL=2s", "PROCESSING_MIN=500ms", "PROCESSING_MAX=1s")
	w.awaitStart()
	reaper := s.start("WORKER_ID=reaper", "LEASE_TTL=2s", "WORKER_CONCURRENCY=1")
	reaper.awaitStart()
	s.order(orders)
	testenv.Eventually(t, 20*time.Second, "its hands full", func() bool { return len(w.log("Processing order")) >= 100 })
	for end := time.After(6 * time.Second); ; { // a tenth of the processor, in slices
		w.signal(syscall.SIGSTOP)
		<-time.After(90 * time.Millisecond)
		w.signal(syscall.SIGCONT)
		select {
		case <-end:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	s.awaitFulfilled(30 * time.Second)
	s.nothingCharged()
	s.settled(w, reaper)
	if n := s.happened("reaped") + len(w.log("lease lost")); n != 0 {
		t.Errorf("%d living workers were reaped", n)
	}
}

// A worker that gets no more memory dies; its orders are taken over.
func TestWorker_outOfMemory(t *testing.T) {
	s := newSite(t)
	victim := s.start("WORKER_ID=victim", "WORKER_CONCURRENCY=50", "PROCESSING_MIN=10s", "PROCESSING_MAX=10s")
	victim.awaitStart()
	s.order(10)
	testenv.Eventually(t, 20*time.Second, "some in hand", func() bool { return len(victim.log("Processing order")) == 10 })
	victim.mayDieTalking()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(victim.cmd.Process.Pid), "--as=1").CombinedOutput()
	if err != nil {
		t.Fatalf("prlimit: %v: %s", err, out)
	}
	for _, id := range s.insert(40) {
		s.push(payload(id) + strings.Repeat(" ", 60<<10)) // each needs room
	}
	if code := victim.exit(20 * time.Second); code == 0 {
		t.Error("it ended well: the fault did not happen")
	}
	heir := s.start("WORKER_ID=heir", "PROCESSING_MIN=0", "WORKER_CONCURRENCY=10")
	s.awaitFulfilled(20 * time.Second)
	s.settled(heir)
}

// Twenty workers come and go under load, five or so at a time.
func TestWorker_joinAndLeave(t *testing.T) {
	s := newSite(t)
	orders := 0
	var all, live []*worker
	for i := range 20 {
		orders += len(s.order(20))
		w := s.start(fmt.Sprintf("WORKER_ID=w%d", i), "LEASE_TTL=5s")
		all, live = append(all, w), append(live, w)
		w.awaitStart()
		if len(live) == 5 {
			if code := stop(live[0]); code != 0 {
				t.Errorf("a worker ended with exit code %d, want 0", code)
			}
			live = live[1:]
		}
	}
	s.awaitFulfilled(20 * time.Second)
	s.nothingCharged()
	s.settled(live...)
	s.workedByAll(orders, all...)
	if n := s.happened("left"); n != len(all) {
		t.Errorf("%d left, want %d", n, len(all))
	}
	if n := s.happened("reaped"); n != 0 {
		t.Errorf("%d reaped that were alive", n)
	}
}

// workedByAll fails unless each order was begun once, by one of the workers.
func (s *site) workedByAll(orders int, workers ...*worker) {
	s.Helper()
	begun := 0
	for _, w := range workers {
		begun += len(w.log("Processing order"))
	}
	if begun != orders {
		s.Errorf("%d orders were begun %d times, want each once", orders, begun)
	}
}

// Three workers are replaced, one by one, under load: work never pauses, and nothing is
// worked twice.
func TestWorker_rollingRestart(t *testing.T) {
	s := newSite(t)
	workers := make([]*worker, 3)
	for i := range workers {
		workers[i] = s.start(fmt.Sprintf("WORKER_ID=w%d", i), "LEASE_TTL=5s")
		workers[i].awaitStart()
	}
	all := slices.Clone(workers)
	orders := len(s.order(100))
	for round := range 2 * len(workers) {
		i := round % len(workers)
		fresh := s.start(fmt.Sprintf("WORKER_ID=w%d", i), "LEASE_TTL=5s")
		fresh.awaitStart()
		if code := stop(workers[i]); code != 0 {
			t.Errorf("exit code %d", code)
		}
		workers[i] = fresh
		all = append(all, fresh)
		for s.rdb.LLen(t.Context(), s.keys.Queue()).Val() < 50 {
			orders += len(s.order(50))
		}
	}
	s.awaitFulfilled(20 * time.Second)
	s.nothingCharged()
	var pause time.Duration
	must(t, s.db.QueryRow(t.Context(), `
		SELECT max(gap) FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM audit WHERE new = 'fulfilled') AS gaps`).Scan(&pause))
	if pause > 2*time.Second {
		t.Errorf("nothing was fulfilled for %v", pause)
	}
	t.Logf("%d orders, longest pause %v", orders, pause)
	s.settled(workers...)
	s.workedByAll(orders, all...)
	if n := s.happened("reaped") + testenv.CountTakeovers(t, s.databaseURL); n != 0 {
		t.Errorf("%d reaped or taken over, want none", n)
	}
}

// Work that lasts five leases goes on undisturbed while the heart beats.
func TestWorker_slowWork(t *testing.T) {
	s := newSite(t)
	slow := s.start("WORKER_ID=slow", "PROCESSING_MIN=5s", "PROCESSING_MAX=5s")
	slow.awaitStart()
	ids := s.order(4)
	testenv.Eventually(t, 10*time.Second, "all in hand", func() bool { return len(slow.log("Processing order")) == len(ids) })
	other := s.start("WORKER_ID=other")
	s.awaitFulfilled(5*lease + 5*time.Second)
	s.nothingCharged()
	s.settled(slow, other)
	s.workedByAll(len(ids), slow, other)
	if n := s.happened("reaped") + testenv.CountTakeovers(t, s.databaseURL); n != 0 {
		t.Errorf("%d reaped or taken over, want none", n)
	}
}

// The service behind FULFILLMENT_URL hangs, then breaks connections, then answers: each
// order waits its turn and is fulfilled once.
func TestWorker_targetHangsAndResets(t *testing.T) {
	s := newSite(t)
	const orders = 20
	var calls atomic.Int64
	done := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := calls.Add(1); {
		case n <= orders: // hangs
			select {
			case <-done:
			case <-r.Context().Done():
			}
		case n <= 2*orders:
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.(interface{ SetLinger(int) error }).SetLinger(0)
				_ = conn.Close()
			}
		}
	}))
	defer target.Close()
	defer close(done)
	w := s.start("FULFILLMENT_URL="+target.URL, "ORDER_TIMEOUT=500ms", "MAX_DELIVERIES=10", "WORKER_CONCURRENCY=10")
	w.awaitStart()
	s.order(orders)
	s.awaitFulfilled(30 * time.Second)
	for _, says := range []string{"ORDER_TIMEOUT is over", "connection reset"} {
		if !w.complained(says) {
			t.Errorf("no error says %q: the fault did not happen", says)
		}
	}
	if n := calls.Load(); n != 3*orders {
		t.Errorf("the service was called %d times, want %d", n, 3*orders)
	}
	s.settled(w)
	if n := w.finished(); n != orders {
		t.Errorf("%d orders finished, want %d", n, orders)
	}
}

// Of several reapers one freezes between its look and its deed. Others do the deed
// meanwhile; when it wakes there is none left to do.
func TestWorker_reaperFrozen(t *testing.T) {
	s := newSite(t)
	victim := s.startCrashing("working:8", "WORKER_ID=victim", "WORKER_CONCURRENCY=8", "MAX_DELIVERIES=9")
	frozen := s.startCrashing("reaping:1:stop", "WORKER_ID=frozen", "WORKER_CONCURRENCY=1", "MAX_DELIVERIES=9")
	victim.awaitStart()
	frozen.awaitStart()
	s.order(20)
	victim.diesOfItself()
	frozen.freezesOfItself()
	reapers := []*worker{s.start("WORKER_ID=a"), s.start("WORKER_ID=b"), s.start("WORKER_ID=c")}
	s.awaitFulfilled(20 * time.Second)
	frozen.signal(syscall.SIGCONT)
	frozen.awaitLog(10*time.Second, "joined anew")
	s.settled(append(reapers, frozen)...)
	if n := len(frozen.log("reaped a dead worker")); n != 0 {
		t.Errorf("it reaped %d all the same", n)
	}
	if n := s.happened("reaped"); n != 2 {
		t.Errorf("%d reaped, want the victim and the frozen reaper, once each", n)
	}
}

// A worker wakes between a reaper's look at its lease and the deed: it is alive, and
// keeps what it has.
func TestWorker_wakesBeforeItIsReaped(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "LEASE_TTL=2s")
	sleeper := s.start("WORKER_ID=sleeper", "WORKER_CONCURRENCY=8", "PROCESSING_MIN=8s", "PROCESSING_MAX=8s")
	sleeper.awaitStart()
	ids := s.order(8)
	testenv.Eventually(t, 20*time.Second, "all in hand", func() bool { return len(sleeper.log("Processing order")) == len(ids) })
	reaper := s.startCrashing("reaping:1:stop", "WORKER_ID=reaper")
	reaper.awaitStart()
	sleeper.signal(syscall.SIGSTOP)
	reaper.freezesOfItself()
	sleeper.signal(syscall.SIGCONT)
	testenv.Eventually(t, 5*time.Second, "the sleeper's heart beating", func() bool {
		leases := s.rdb.ZRangeWithScores(t.Context(), s.keys.Workers(), 0, -1).Val()
		for _, l := range leases {
			if strings.HasPrefix(l.Member.(string), "sleeper") {
				return time.UnixMilli(int64(l.Score)).After(s.rdb.Time(t.Context()).Val())
			}
		}
		return false
	})
	reaper.signal(syscall.SIGCONT)
	s.awaitFulfilled(20 * time.Second)
	s.nothingCharged()
	s.settled(sleeper, reaper)
	s.workedByAll(len(ids), sleeper, reaper)
	if n := s.happened("reaped"); n != 0 {
		t.Errorf("%d reaped that were alive", n)
	}
}
