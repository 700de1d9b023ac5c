package main_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// A lost reply to a claim leaves a stray in a living worker's list; nobody but the
// worker itself can find it.
func TestWorker_findsItsStrays(t *testing.T) {
	message := func(reply []byte) bool { return reply[0] == '$' }
	tests := []struct {
		name   string
		times  int
		within time.Duration
		harm   func(*testenv.Proxy)
	}{
		{"the connection ends", 10, 2 * time.Second, func(p *testenv.Proxy) { p.LoseReplies(1, "blmove", message) }},
		{"the connection is reset", 5, 2 * time.Second, func(p *testenv.Proxy) {
			p.ResetOnLoss()
			p.LoseReplies(1, "blmove", message)
		}},
		{"the reply is torn", 5, 2 * time.Second, func(p *testenv.Proxy) { p.TearReplies(1, 3, "blmove", message) }},
		{"the reply comes too late", 2, 6 * time.Second, func(p *testenv.Proxy) { p.DelayReplies(1, 4*time.Second, "blmove", message) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxy := testenv.NewProxy(t, s.rdb.Options().Addr)
			w := s.start("REDIS_URL=redis://"+proxy.Addr(), "LEASE_TTL=1m")
			w.awaitStart()
			for range tt.times {
				tt.harm(proxy)
				s.order(1)
				s.awaitFulfilled(tt.within)
				if proxy.Lost() != 1 {
					t.Errorf("%d replies lost, want 1", proxy.Lost())
				}
			}
			s.nothingCharged()
			s.settled(w)
		})
	}
}

// comesBack is an order whose message came back from somebody who had not claimed it.
func (s *site) comesBack() int64 {
	id := s.insert(1)[0]
	must(s, s.rdb.HSet(s.Context(), s.keys.Returned(), queue.Digest([]byte(payload(id))), "died w-0").Err())
	return id
}

// Each script of a worker's, and LREM, runs once without its request, and once without its answer
// coming through: nothing is lost, and nobody notices.
func TestWorker_losesEachCallOnce(t *testing.T) {
	const patience = 10 * time.Second
	for _, what := range []string{"request", "answer"} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			proxy := testenv.NewProxy(t, s.rdb.Options().Addr)
			lose := func(script string) {
				named := "lrem"
				if script != named {
					named = s.sha(script)
				}
				if what == "request" {
					proxy.LoseRequests(1, named)
				} else {
					proxy.LoseReplies(1, named, nil)
				}
			}
			lost := func(script string) {
				t.Helper()
				testenv.Eventually(t, patience, "a loss of "+script, func() bool { return proxy.Lost() == 1 })
			}
			lose("join")
			w := s.start("REDIS_URL=redis://"+proxy.Addr(), "MAX_DELIVERIES=2", "ORDER_TIMEOUT=1s", "WORKER_CONCURRENCY=3")
			instance := w.awaitLog(20*time.Second, "Fulfillment Worker started").Instance
			lost("join")
			dead := 0
			for _, call := range []struct {
				script string
				cause  func()
			}{
				{"start", func() { s.push(payload(s.comesBack())) }},
				{"ack", func() { s.push(payload(s.comesBack())) }},
				{"lrem", func() { s.order(1) }},
				{"claim", func() { s.orderAtOnce(5) }},
				{"dead", func() { s.push("not json"); dead++ }},
				{"retry", func() { s.push(payload(1_000_001)); dead++ }},
				{"due", func() { s.push(payload(1_000_002)); dead++ }},
				{"putoff", func() { s.push(payload(s.inHandElsewhere())) }},
				{"beat", func() {}},
				{"look", func() {}},
				{"strays", func() { s.strays(instance) }},
				{"release", func() { s.strays(instance) }},
				{"reap", func() { s.leftBehind("dead-1") }},
			} {
				lose(call.script)
				call.cause()
				lost(call.script)
				s.awaitFulfilled(patience)
				testenv.Eventually(t, patience, "a dead letter", func() bool { return s.rdb.XLen(t.Context(), s.keys.Dead()).Val() == int64(dead) })
			}
			if lines := w.log("lease lost"); len(lines) != 0 {
				t.Errorf("it lost its lease: %+v", lines)
			}
			s.nothingCharged()
			lose("leave")
			w.signal(syscall.SIGTERM)
			if code := w.exit(patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			lost("leave")
			s.settled()
		})
	}
}

// sha is how a request names the script, which Redis knows from now on: the answer that
// it does not know it is none to lose.
func (s *site) sha(script string) string {
	s.Helper()
	source, err := os.ReadFile("../../internal/queue/lua/" + script + ".lua")
	must(s, err)
	sha, err := s.rdb.ScriptLoad(s.Context(), string(source)).Result()
	must(s, err)
	return sha
}

// inHandElsewhere is an order that somebody has claimed of whom the queue knows nothing.
func (s *site) inHandElsewhere() int64 {
	s.Helper()
	id := s.insert(1)[0]
	_, err := s.db.Exec(s.Context(), `UPDATE orders SET status = 'processing', updated_at = now() WHERE id = $1`, id)
	must(s, err)
	return id
}

// strays are more messages in the instance's list than it knows of or has slots for.
func (s *site) strays(instance string) {
	s.Helper()
	for _, id := range s.insert(12) {
		must(s, s.rdb.LPush(s.Context(), s.keys.Processing(instance), payload(id)).Err())
	}
}

// leftBehind is a message of a worker whose lease is over.
func (s *site) leftBehind(instance string) {
	s.Helper()
	must(s, s.rdb.LPush(s.Context(), s.keys.Processing(instance), payload(s.insert(1)[0])).Err())
	s.do("zadd", s.keys.Workers(), 1, instance)
}

// Where bytes crawl nobody is presumed dead.
func TestWorker_onASlowNetwork(t *testing.T) {
	s := newSite(t)
	proxy := testenv.NewProxy(t, s.rdb.Options().Addr)
	var workers []*worker
	for _, name := range []string{"a", "b"} {
		w := s.start("REDIS_URL=redis://"+proxy.Addr(), "WORKER_ID="+name)
		w.awaitStart()
		workers = append(workers, w)
	}
	proxy.Slow(30*time.Millisecond, 1)
	begin := time.Now()
	s.order(150)
	s.awaitFulfilled(30 * time.Second)
	if took := time.Since(begin); took < 2*lease {
		t.Errorf("the orders took %v: the network was not slow", took)
	}
	for _, w := range workers {
		w.robbedNobody()
	}
	if n := testenv.CountTakeovers(t, s.databaseURL); n != 0 {
		t.Errorf("%d take-overs, want none", n)
	}
	s.nothingCharged()
	proxy.Slow(0, 0)
	s.settled(workers...)
}
