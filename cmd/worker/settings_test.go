package main_test

import (
	"testing"
	"time"
)

// Within what is accepted any combination starts and works.
func TestWorker_startsAtTheLimits(t *testing.T) {
	tests := []struct {
		name string
		env  []string
	}{
		{"everything at its lowest", []string{
			"POSTGRES_MAX_CONNS=1", "WORKER_CONCURRENCY=1", "PROCESSING_MIN=0", "PROCESSING_MAX=0", "ORDER_TIMEOUT=100ms",
			"MAX_DELIVERIES=1", "RETRY_INITIAL=10ms", "RETRY_MAX=10ms", "LEASE_TTL=1s", "SHUTDOWN_TIMEOUT=0",
		}},
		{"everything at its highest", []string{
			"POSTGRES_MAX_CONNS=1000", "WORKER_CONCURRENCY=4096", "ORDER_TIMEOUT=24h", "MAX_DELIVERIES=1000", "RETRY_INITIAL=24h",
			"RETRY_MAX=24h", "LEASE_TTL=10m", "SHUTDOWN_TIMEOUT=1h", "STARTUP_TIMEOUT=24h", "MAX_MESSAGE_BYTES=536870912",
		}},
		{"no wait for the servers, which are there", []string{"STARTUP_TIMEOUT=0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			w := s.start(tt.env...)
			w.awaitStart()
			s.order(1)
			s.awaitFulfilled(10 * time.Second)
			if code := stop(w); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}
