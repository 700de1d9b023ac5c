package main_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// However long a message is, no worker reads it: what comes to a waiting claim, in a
// batch, and in a dead worker's list becomes a dead letter inside Redis, byte for byte.
func TestWorker_readsNoHugeMessage(t *testing.T) {
	t.Parallel()
	const size = 100 << 20
	const message = `redis.call('GET', 'huge')` // it stays in Redis: the test shall not carry it either
	redis := testenv.OwnRedis(t, "--appendonly", "no") // its file would take longest
	s := siteAt(t, redis.URL(), "q", testenv.Database(t))
	huge := func(key string) {
		t.Helper()
		must(t, s.rdb.Eval(t.Context(), `return redis.call('LPUSH', KEYS[1], `+message+`)`, []string{key}).Err())
	}
	s.do("setrange", "huge", size-1, "x")
	w := s.start()
	w.awaitStart()
	s.order(20)
	s.awaitFulfilled(10 * time.Second)
	idle := w.memory("VmHWM")

	huge(s.keys.Queue())
	s.awaitDead(1)
	s.awaitFulfilled(10 * time.Second)
	s.do("set", s.keys.Paused(), "test") // so that a batch gathers
	w.awaitLog(5*time.Second, "claiming is paused")
	s.order(1)
	huge(s.keys.Queue())
	s.order(20)
	s.do("del", s.keys.Paused())
	s.awaitDead(2)
	huge(s.keys.Processing("dead-1"))
	s.do("zadd", s.keys.Workers(), 1, "dead-1")
	s.awaitDead(3)
	s.order(20)
	s.awaitFulfilled(10 * time.Second)

	grown := (w.memory("VmHWM") - idle) >> 20
	t.Logf("messages of %d MB made it grow by %d MB", size>>20, grown)
	if grown > 60 {
		t.Errorf("messages of %d MB made it grow by %d MB, want less than 60", size>>20, grown)
	}
	whole, err := s.rdb.Eval(t.Context(), `
		local whole, wanted = 0, `+message+`
		for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
			local payload, reason = entry[2][2], entry[2][4]
			if payload == wanted and reason == 'too_large' then
				whole = whole + 1
			end
		end
		return whole`, []string{s.keys.Dead()}).Int()
	must(t, err)
	if whole != 3 {
		t.Errorf("%d whole messages are kept as too_large, want 3", whole)
	}
	s.settled(w)
}

func (s *site) awaitDead(n int64) {
	s.Helper()
	testenv.Eventually(s.T, 20*time.Second, fmt.Sprintf("%d dead letters", n), func() bool {
		return s.rdb.XLen(s.Context(), s.keys.Dead()).Val() == n
	})
}

// memory is a line of /proc/<pid>/status, in bytes.
func (w *worker) memory(name string) int {
	w.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	must(w.t, err)
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	kb, err := strconv.Atoi(string(found[1]))
	must(w.t, err)
	return kb << 10
}
