package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// A claim whose reply is lost leaves the message in the list of a worker that lives
// and does not know of it: the worker's audit must find it, for no reaper will.
func TestConsumer_adoptsWhatALostReplyLeftBehind(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		t.Run(fmt.Sprintf("concurrency %d", concurrency), func(t *testing.T) {
			b := newBench(t)
			b.cfg.Concurrency = concurrency
			b.cfg.Lease = 30 * time.Second // no net but the audit
			proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
			var rec recorder
			b.consume(queue.NewConsumer(b.queue("redis://"+proxy.Addr(), silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if err := d.Start(ctx, false); err != nil {
					return err
				}
				rec.note(d.Payload)
				return nil
			})
			testenv.Eventually(t, 5*time.Second, "the worker joins", func() bool { return len(b.instances()) == 1 })
			isMessage := func(reply []byte) bool { return len(reply) > 1 && reply[0] == '$' && reply[1] != '-' }
			const rounds = 10
			for i := range rounds {
				proxy.LoseReplies(1, "blmove", isMessage)
				message := fmt.Sprintf("m%d", i)
				pushed := time.Now()
				b.push(message)
				testenv.Eventually(t, 5*time.Second, message+" is handled", func() bool { return slices.Contains(rec.all(), message) })
				if took := time.Since(pushed); proxy.Lost() > 0 && took > 2*time.Second {
					t.Errorf("%s was adopted after %v, want at most 2s", message, took)
				}
				if proxy.Lost() != 1 {
					t.Errorf("%d replies lost, want 1: the fault did not happen", proxy.Lost())
				}
				if n := b.charged(message); n != 0 {
					t.Errorf("%s was charged %d deliveries, want 0", message, n)
				}
			}
			if rec.count() != rounds {
				t.Errorf("%d deliveries of %d messages, want each once", rec.count(), rounds)
			}
		})
	}
}

// An answer to a claim that is lost is looked after at once, not only by the clock.
func TestConsumer_looksAtOnceAfterALostReply(t *testing.T) {
	tests := []struct {
		name, request string
		reply         func([]byte) bool
		messages      int
	}{
		{"of BLMOVE", "blmove", func(r []byte) bool { return len(r) > 1 && r[0] == '$' && r[1] != '-' }, 1},
		{"of claim.lua", queue.ClaimSHA, func(r []byte) bool {
			return bytes.HasPrefix(r, []byte("*3\r\n*")) && !bytes.HasPrefix(r, []byte("*3\r\n*0"))
		}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Lease = 30 * time.Second
			proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
			var rec recorder
			b.consume(queue.NewConsumer(b.queue("redis://"+proxy.Addr(), silent()), open), func(_ context.Context, d *queue.Delivery) error {
				rec.note(d.Payload)
				return nil
			})
			var took []time.Duration
			for i := 0; len(took) < 9 && i < 50; i++ {
				before := rec.count() + 1
				b.push("well") // a claim that succeeds, so that the pauses begin anew
				testenv.Eventually(t, 5*time.Second, "it is handled", func() bool { return rec.count() == before })
				proxy.LoseReplies(1, tt.request, tt.reply)
				must(t, b.rdb.LPush(t.Context(), b.keys.Queue(), anys(names(fmt.Sprintf("m%d-", i), tt.messages))...).Err())
				pushed := time.Now()
				testenv.Eventually(t, 5*time.Second, "all is handled", func() bool { return rec.count() == before+tt.messages })
				if proxy.Lost() == 1 { // otherwise the other way of claiming was quicker
					took = append(took, time.Since(pushed))
				}
			}
			if len(took) < 9 {
				t.Fatalf("only %d replies lost: the fault did not happen", len(took))
			}
			slices.Sort(took)
			if median := took[len(took)/2]; median > 250*time.Millisecond {
				t.Errorf("handled after %v in the median, want at once", median)
			}
		})
	}
}

func anys(all []string) (list []any) {
	for _, s := range all {
		list = append(list, s)
	}
	return list
}

// What lies in the own list unknown to the worker, and finds no slot, goes back to the
// queue's front in its order. Copies in hand are not taken for strays. No reply is lost
// here: the audit that runs by the clock is the only net.
func TestConsumer_releasesStraysThatFindNoSlot(t *testing.T) {
	b := newBench(t)
	b.cfg.Concurrency = 2
	b.cfg.Lease = 30 * time.Second
	b.push("twin", "twin")
	finish := make(chan struct{})
	var rec recorder
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(_ context.Context, d *queue.Delivery) error {
		rec.note(d.Payload)
		<-finish
		return nil
	})
	testenv.Eventually(t, 5*time.Second, "all slots are busy", func() bool { return rec.count() == 2 })
	strays := names("stray", 3)
	b.push("waiting")
	for _, p := range strays { // as a late BLMOVE leaves them
		must(t, b.rdb.LPush(t.Context(), b.keys.Processing(b.firstInstance()), p).Err())
	}
	want := append(slices.Clone(strays), "waiting")
	testenv.Eventually(t, 3*time.Second, "the strays are back in the queue", func() bool { return slices.Equal(b.list(b.keys.Queue()), want) })
	close(finish)
	testenv.Eventually(t, 5*time.Second, "all is handled", func() bool { return rec.count() >= 6 })
	<-time.After(100 * time.Millisecond)
	got := rec.all()
	slices.Sort(got)
	if want := append(append([]string{}, strays...), "twin", "twin", "waiting"); !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
}
