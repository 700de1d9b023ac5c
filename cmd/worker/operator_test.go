package main_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// Orders that were refused stand in processing, in nobody's hand. Once their letters are
// requeued they are taken over at once, not only when their rows count as nobody's.
func TestWorker_takesOverWhatIsRequeued(t *testing.T) {
	s := newSite(t)
	var mended atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !mended.Load() {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	defer target.Close()
	const orders = 10
	s.order(orders)
	workers := []*worker{
		s.start("FULFILLMENT_URL="+target.URL, "ORDER_TIMEOUT=1h"), s.start("FULFILLMENT_URL="+target.URL, "ORDER_TIMEOUT=1h"),
	}
	testenv.Eventually(t, 20*time.Second, "all are dead letters", func() bool {
		return s.rdb.XLen(t.Context(), s.keys.Dead()).Val() == orders
	})
	mended.Store(true)
	var ids []string
	for letter, err := range queue.NewReader(s.rdb, s.queueName).Letters(t.Context(), queue.Selection{Reason: queue.Rejected}) {
		must(t, err)
		ids = append(ids, letter.ID)
	}
	n, err := queue.NewOperator(s.rdb, s.queueName, "Operator").Requeue(t.Context(), ids...)
	must(t, err)
	if n != orders {
		t.Errorf("%d letters were requeued, want %d", n, orders)
	}
	s.awaitFulfilled(10 * time.Second)
	s.settled(workers...)
	if n := s.rdb.XLen(t.Context(), s.keys.Dead()).Val(); n != 0 {
		t.Errorf("%d dead letters are left, want none", n)
	}
}
