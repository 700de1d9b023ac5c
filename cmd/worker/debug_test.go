package main_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestWorker_switchesItsLevel(t *testing.T) {
	s := newSite(t)
	w := s.start("LOG_LEVEL=warn")
	promote := func() {
		id := s.insert(1)[0]
		must(s, s.rdb.ZAdd(s.Context(), s.keys.Delayed(), redis.Z{Score: 1, Member: payload(id)}).Err())
		s.awaitFulfilled(20 * time.Second)
	}
	promote()
	if lines := append(w.log("promoted"), w.log("Processing")...); len(lines) > 0 {
		t.Errorf("with LOG_LEVEL=warn it says %v", lines)
	}
	w.signal(syscall.SIGUSR1)
	w.awaitLog(10*time.Second, "the log's level is switched")
	promote()
	w.awaitLog(10*time.Second, "promoted")
	said := len(w.log("promoted"))
	w.signal(syscall.SIGUSR1)
	promote()
	if n := len(w.log("promoted")); n > said {
		t.Errorf("after a second signal it says %d debug lines more", n-said)
	}
}

func TestWorker_tellsWhatItIs(t *testing.T) {
	s := newSite(t)
	w := s.start("POSTGRES_PASSWORD=S3cretCanary")
	w.awaitLog(10*time.Second, "Fulfillment Worker starting")
	w.mu.Lock()
	defer w.mu.Unlock()
	first := strings.Join(w.raw, "\n")
	for _, want := range []string{`"version":`, `"go":"go1.`, `"WORKER_CONCURRENCY":"4"`, `"POSTGRES_PASSWORD":"[secret]"`, `"DATABASE_URL":"postgres://127.0.0.1:`} {
		if !strings.Contains(first, want) {
			t.Errorf("its first line has no %s: %s", want, first)
		}
	}
	if strings.Contains(first, "S3cretCanary") {
		t.Errorf("it shows a password: %s", first)
	}
}

func TestWorker_servesProfilesWhereAsked(t *testing.T) {
	s := newSite(t)
	profiles, health := newHealth(t), newHealth(t)
	w := s.start("PPROF_ADDR="+profiles.addr, health.setting())
	w.awaitStart()
	if status, body := profiles.ask("/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(body, "claimLoop") {
		t.Errorf("the profile of its goroutines: %d, %.100q", status, body)
	}
	if status := health.status("/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("HTTP_ADDR answers for profiles, too: %d", status)
	}
}
