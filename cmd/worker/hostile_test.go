package main_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// bad are messages by the hundred that no worker can do anything with, and the reasons
// for which they are kept.
func bad() map[string]string {
	const order = `{"order_id": %s, "product_id": 1, "quantity": 1, "correlation_id": "c"}`
	all := map[string]string{"": "malformed", "null": "malformed", "{}": "invalid", "[]": "malformed", "\x00": "malformed"}
	for i := range 9 {
		n := strconv.Itoa(i + 1)
		for form, reason := range map[string]string{
			"order " + n:                                            "malformed",
			strings.Repeat(" \n", i+1):                              "malformed",
			strings.Repeat("\x00", i+2):                             "malformed",
			strings.Repeat("\xff\xfe", i+1):                         "malformed",
			payload(int64(i + 1))[:30+i]:                            "malformed",
			payload(int64(i+1)) + "}":                               "malformed",
			payload(int64(i+1)) + "\x00":                            "malformed",
			"\ufeff" + payload(int64(i+1)):                          "malformed",
			"[" + payload(int64(i+1)) + "]":                         "malformed",
			strings.Repeat("[", 20000+i):                            "malformed",
			strings.Repeat(`{"a":`, 12000+i):                        "malformed",
			fmt.Sprintf(order, n+".5"):                              "malformed",
			fmt.Sprintf(order, n+"e3"):                              "malformed",
			fmt.Sprintf(order, `"`+n+`"`):                           "malformed",
			fmt.Sprintf(order, "["+n+"]"):                           "malformed",
			fmt.Sprintf(order, n+"000000000000000000000000"):        "malformed",
			strings.Replace(payload(int64(i+1)), `"c-`+n+`"`, n, 1): "malformed",
			fmt.Sprintf(order, "-"+n):                               "invalid",
			fmt.Sprintf(order, n+`, "order_id": 0`):                 "invalid",
			fmt.Sprintf(order, "null, \"n\": "+n):                   "invalid",
			fmt.Sprintf(order, "9999999999"+n):                      "unknown_order",
			strings.Repeat("x", 65537+i):                            "too_large",
		} {
			all[form] = reason
		}
	}
	return all
}

// Of thousands of messages some two hundred are bad: each of those is kept with its bytes
// and a reason, and no other suffers.
func TestWorker_keepsBadMessagesAmongMany(t *testing.T) {
	s := newSite(t)
	letters := bad()
	messages := slices.Collect(maps.Keys(letters))
	for _, id := range s.insert(2000) {
		messages = append(messages, payload(id))
	}
	rand.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	s.pushAll(messages)
	w := s.start("PROCESSING_MIN=0", "PROCESSING_MAX=0", "MAX_DELIVERIES=2", "WORKER_CONCURRENCY=16")
	s.awaitFulfilled(time.Minute)
	s.awaitDead(int64(len(letters)))
	for _, letter := range s.rdb.XRange(t.Context(), s.keys.Dead(), "-", "+").Val() {
		message := letter.Values["payload"].(string)
		reason, sent := letters[message]
		if !sent || letter.Values["reason"] != reason {
			t.Errorf("%.60q, %d bytes, is kept as %v, want %q", message, len(message), letter.Values["reason"], reason)
		}
		delete(letters, message)
	}
	for message := range letters {
		t.Errorf("%.60q is not kept", message)
	}
	s.settled(w)
}

// pushAll queues the messages at once.
func (s *site) pushAll(messages []string) {
	s.Helper()
	for batch := range slices.Chunk(messages, 500) {
		must(s, s.rdb.LPush(s.Context(), s.keys.Queue(), batch).Err())
	}
}

// Ten thousand messages of two thousand orders, in any order, some of them long after:
// where nobody dies each order is worked once.
func TestWorker_worksOnceHoweverOftenItIsTold(t *testing.T) {
	s := newSite(t)
	var now, later []string
	ids := s.insert(2000)
	for _, id := range ids {
		other := strings.Replace(payload(id), `"c-`, `"copy-`, 1)
		now = append(now, payload(id), payload(id), other)
		later = append(later, payload(id), other)
	}
	rand.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	s.env = append(s.env, "PROCESSING_MIN=0", "PROCESSING_MAX=5ms", "WORKER_CONCURRENCY=16")
	a, b := s.start("WORKER_ID=a"), s.start("WORKER_ID=b")
	a.awaitStart()
	b.awaitStart()
	s.pushAll(now)
	s.awaitFulfilled(time.Minute)
	s.pushAll(later)
	testenv.Eventually(t, time.Minute, "every message is gone", func() bool {
		return s.rdb.Exists(t.Context(), s.keys.Queue(), s.keys.Delayed()).Val() == 0
	})
	s.settled(a, b)
	if n := len(a.log("Processing order")) + len(b.log("Processing order")); n != len(ids) {
		t.Errorf("%d orders were worked %d times, want each once", len(ids), n)
	}
	if n := testenv.CountTakeovers(t, s.databaseURL); n != 0 {
		t.Errorf("%d take-overs, want none", n)
	}
	if n := s.rdb.Exists(t.Context(), s.keys.Dead()).Val(); n != 0 {
		t.Error("copies are dead letters")
	}
}

// However long a message is, no worker reads it: what comes to a waiting claim, in a
// batch, and in a dead worker's list becomes a dead letter inside Redis, byte for byte.
func TestWorker_readsNoHugeMessage(t *testing.T) {
	t.Parallel()
	const size = 100 << 20
	const message = `redis.call('GET', 'huge')`        // it stays in Redis: the test shall not carry it either
	redis := testenv.OwnRedis(t, "--appendonly", "no") // its file would take longest
	s := siteAt(t, redis.URL(), "q", testenv.Database(t))
	s.rdb = s.rdb.WithTimeout(time.Minute)
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
