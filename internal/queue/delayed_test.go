package queue_test

import (
	"slices"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	"github.com/redis/go-redis/v9"
)

// What is due comes to the front of the queue, what was due first foremost; what is not
// due yet stays.
func TestPromoter_putsInFrontInTheOrderOfTheirTimes(t *testing.T) {
	b := newBench(t)
	b.push("waiting")
	due := names("due", 250) // more than one run of the script
	for i, p := range due {
		must(t, b.rdb.ZAdd(t.Context(), b.keys.Delayed(), redis.Z{Score: float64(1000 - i), Member: p}).Err())
	}
	must(t, b.rdb.ZAdd(t.Context(), b.keys.Delayed(), redis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: "later"}).Err())
	b.run(queue.NewPromoter(b.queue(b.url, silent())).Run)
	testenv.Eventually(t, 5*time.Second, "all are promoted", func() bool { return len(b.list(b.keys.Queue())) == len(due)+1 })
	slices.Reverse(due)
	if got, want := b.list(b.keys.Queue()), append(due, "waiting"); !slices.Equal(got, want) {
		t.Errorf("the queue holds %v, want %v", got, want)
	}
	if left := b.rdb.ZRange(t.Context(), b.keys.Delayed(), 0, -1).Val(); !slices.Equal(left, []string{"later"}) {
		t.Errorf("still delayed: %v, want later", left)
	}
}
