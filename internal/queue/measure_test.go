package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// awaitCounted waits until each of the figures is so.
func (b *bench) awaitCounted(want map[string]float64) {
	b.Helper()
	for name, value := range want {
		testenv.Eventually(b.T, 5*time.Second, name, func() bool { return b.counted(name) == value })
	}
}

func TestConsumer_countsStrays(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 1
	b.cfg.Lease = 30 * time.Second
	finish := make(chan struct{})
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), func() <-chan struct{} { return nil }), func(context.Context, *queue.Delivery) error {
		<-finish
		return nil
	})
	testenv.Eventually(t, 5*time.Second, "the worker joins", func() bool { return len(b.instances()) == 1 })
	for _, p := range []string{"adopted", "released", strings.Repeat("x", b.cfg.MaxMessageBytes+1)} {
		must(t, b.rdb.RPush(t.Context(), b.keys.Processing(b.firstInstance()), p).Err())
	}
	b.awaitCounted(map[string]float64{
		`fulfillment_strays_total{fate="adopted"}`:           1,
		`fulfillment_strays_total{fate="released"}`:          1,
		`fulfillment_dead_letters_total{reason="too_large"}`: 1,
	})
	close(finish)
}

func TestConsumer_countsWhatIsSettled(t *testing.T) {
	b := newBench(t)
	b.cfg.MaxDeliveries = 2
	q := b.queue(b.url, silent())
	b.run(queue.NewPromoter(q).Run)
	b.push("later", "panics", "slow", "no", "fine")
	c := queue.NewConsumer(q, open)
	b.consume(c, func(_ context.Context, d *queue.Delivery) error {
		switch string(d.Payload) {
		case "later":
			return queue.PutOff(time.Hour, errors.New("in hand"))
		case "panics":
			panic("at the disco")
		case "slow":
			return &queue.Failure{Err: errors.New("slow"), Kind: "timeout", Last: queue.UnknownOrder}
		case "no":
			return queue.Reject(queue.Rejected, errors.New("no"))
		}
		return nil
	})
	b.awaitCounted(map[string]float64{
		"fulfillment_messages_put_off_total":                     1,
		`fulfillment_messages_retried_total{reason="panic"}`:     1,
		`fulfillment_messages_retried_total{reason="timeout"}`:   1,
		`fulfillment_dead_letters_total{reason="exhausted"}`:     1,
		`fulfillment_dead_letters_total{reason="unknown_order"}`: 1,
		`fulfillment_dead_letters_total{reason="rejected"}`:      1,
		"fulfillment_messages_promoted_total":                    2,
		"fulfillment_messages_claimed_total":                     7,
	})
	testenv.Eventually(t, 5*time.Second, "nothing in hand", func() bool {
		busy, inHand := c.Hands()
		return busy == 0 && inHand == 0
	})
}

func TestReaper_countsWhatItGivesBack(t *testing.T) {
	b := newBench(t)
	b.cfg.MaxDeliveries = 1
	b.holding("dead-1", -time.Minute, "kills", "waits", strings.Repeat("x", b.cfg.MaxMessageBytes+1))
	q := b.queue(b.url, silent())
	b.run(queue.NewReaper(q).Run)
	b.consume(queue.NewConsumer(q, open), func(ctx context.Context, d *queue.Delivery) error {
		return d.Start(ctx, string(d.Payload) == "kills")
	})
	b.awaitCounted(map[string]float64{
		"fulfillment_instances_reaped_total":                 1,
		"fulfillment_reaped_messages_total":                  2,
		"fulfillment_reaped_deliveries_total":                1,
		`fulfillment_dead_letters_total{reason="exhausted"}`: 1,
		`fulfillment_dead_letters_total{reason="too_large"}`: 1,
	})
	if tally := b.cfg.Metrics.Tally(); tally.Dead != 2 {
		t.Errorf("the tally has %d dead letters, want 2", tally.Dead)
	}
}
