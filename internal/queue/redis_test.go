package queue_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// A command whose answer is lost is sent once: a BLMOVE that is sent again takes a
// second message.
func TestDial_repeatsNothing(t *testing.T) {
	b := newBench(t)
	proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
	rdb := queue.Dial(&redis.UniversalOptions{Addrs: []string{proxy.Addr()}, DB: b.rdb.Options().DB}, 1, b.cfg.MaxMessageBytes)
	t.Cleanup(rdb.Close)
	for i, client := range rdb.Clients() {
		key := fmt.Sprintf("%s:count%d", b.keys.Worker(""), i)
		proxy.LoseReplies(1, "incr", nil)
		if err := client.Incr(t.Context(), key).Err(); err == nil {
			t.Errorf("client %d: no error, want one: the answer was lost", i)
		}
		if n := b.rdb.Get(t.Context(), key).Val(); n != "1" {
			t.Errorf("client %d: sent %s times, want once", i, n)
		}
	}
}
