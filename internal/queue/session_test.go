package queue_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

func TestConsumer_handsBackAtShutdown(t *testing.T) {
	b := newBench(t)
	b.cfg.ShutdownTimeout = 100 * time.Millisecond
	held := names("held", b.cfg.Concurrency)
	b.push(append(held, "waiting")...)
	var causes recorder
	var started atomic.Int64
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		must(t, d.Start(ctx, false))
		started.Add(1)
		<-ctx.Done()
		causes.note([]byte(context.Cause(ctx).Error()))
		return ctx.Err()
	})
	testenv.Eventually(t, 5*time.Second, "all slots are busy", func() bool { return started.Load() == int64(b.cfg.Concurrency) })
	start := time.Now()
	stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if got, want := b.list(b.keys.Queue()), append(held, "waiting"); !slices.Equal(got, want) {
		t.Errorf("the queue holds %v, want %v", got, want)
	}
	for _, cause := range causes.all() {
		if cause != queue.ErrShutdown.Error() {
			t.Errorf("a handler was cancelled with %q, want %q", cause, queue.ErrShutdown)
		}
	}
	for _, m := range held {
		if n := b.charged(m); n != 0 {
			t.Errorf("%s was charged %d deliveries, want 0", m, n)
		}
		if how := b.marked(m); how != "returned" {
			t.Errorf("%s is marked %q, want returned", m, how)
		}
	}
	b.wantKeys(b.keys.Queue(), b.keys.Events(), b.keys.Returned())
}

func TestConsumer_letsWorkFinishAtShutdown(t *testing.T) {
	b := newBench(t)
	b.push("m")
	started, finish := make(chan struct{}), make(chan struct{})
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		close(started)
		<-finish
		return ctx.Err() // nil: it was let alone
	})
	<-started
	go close(finish)
	stop()
	b.wantKeys(b.keys.Events())
	if got := b.events(); got != "joined left" {
		t.Errorf("events %q", got)
	}
}

// A worker that finds its lease gone cancels what it holds and joins anew; the message
// is delivered again.
func TestConsumer_joinsAnewWhenItsLeaseIsLost(t *testing.T) {
	tests := []struct {
		name string
		lose func(b *bench, instance string) error
	}{
		{"it was condemned", func(b *bench, instance string) error {
			return b.rdb.ZAdd(b.Context(), b.keys.Workers(), zero(instance)).Err()
		}},
		{"its registration is gone", func(b *bench, _ string) error {
			return b.rdb.Del(b.Context(), b.keys.Workers()).Err()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.push("m")
			var causes recorder
			deliveries := make(chan struct{}, 10)
			b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if err := d.Start(ctx, false); err != nil {
					return err
				}
				deliveries <- struct{}{}
				if len(causes.all()) > 0 {
					return nil
				}
				<-ctx.Done()
				causes.note([]byte(context.Cause(ctx).Error()))
				return ctx.Err()
			})
			delivered := func() {
				t.Helper()
				testenv.Eventually(t, 10*time.Second, "the message is delivered", func() bool { return len(deliveries) > 0 })
				<-deliveries
			}
			delivered()
			old := b.firstInstance()
			must(t, tt.lose(b, old))
			delivered()
			if got := causes.all(); len(got) != 1 || got[0] != queue.ErrLeaseLost.Error() {
				t.Errorf("the handler was cancelled with %q, want %q", got, queue.ErrLeaseLost)
			}
			if n := b.charged("m"); n != 0 {
				t.Errorf("charged %d deliveries, want 0: nobody died", n)
			}
			testenv.Eventually(t, 5*time.Second, "only the new instance is registered", func() bool {
				all := b.instances()
				return len(all) == 1 && all[0] != old
			})
		})
	}
}

// Each way to lose a lease stops the start of work.
func TestDelivery_startsNothingWithoutALease(t *testing.T) {
	condemn := func(b *bench, instance string) error {
		return b.rdb.ZAdd(b.Context(), b.keys.Workers(), zero(instance)).Err()
	}
	reap := func(b *bench, instance string) error {
		return b.rdb.ZRem(b.Context(), b.keys.Workers(), instance).Err()
	}
	tests := []struct {
		name   string
		lose   func(b *bench, instance string) error
		mark   string // of the message; "" is that it is delivered for the first time,
		frozen bool   // and then Redis is asked only by who was frozen
	}{
		{"it was condemned, and the message has come back", condemn, "returned", false},
		{"it was reaped, and the message has come back", reap, "returned", false},
		{"it was condemned while it was frozen", condemn, "", true},
		{"it was reaped while it was frozen", reap, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Lease = 30 * time.Second // no beat tells it meanwhile
			if tt.mark != "" {
				b.mark("m", tt.mark)
			}
			b.push("m")
			results := make(chan error, 10)
			var old string
			b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				if old == "" {
					old = b.firstInstance()
					must(t, tt.lose(b, old))
					if tt.frozen {
						d.Freeze()
					}
				}
				err := d.Start(ctx, false)
				results <- err
				return err
			})
			testenv.Eventually(t, 5*time.Second, "it is delivered twice", func() bool { return len(results) == 2 })
			if err := <-results; !errors.Is(err, queue.ErrLeaseLost) {
				t.Errorf("Start returned %v, want %v", err, queue.ErrLeaseLost)
			}
			if err := <-results; err != nil { // anew, long before the next beat
				t.Errorf("Start returned %v the second time", err)
			}
			if n := b.charged("m"); n != 0 {
				t.Errorf("charged %d deliveries, want 0", n)
			}
		})
	}
}

// The lease is kept as long as handlers run: nobody takes their messages meanwhile.
func TestConsumer_keepsItsLeaseWhileItDrains(t *testing.T) {
	b := newBench(t)
	b.cfg.ShutdownTimeout = 10 * time.Second
	b.run(queue.NewReaper(b.queue(b.url, silent())).Run)
	b.push("m")
	started := make(chan struct{}, 10)
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		must(t, d.Start(ctx, false))
		started <- struct{}{}
		select {
		case <-time.After(3 * b.cfg.Lease):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	<-started
	stop()
	if got := b.events(); got != "joined left" {
		t.Errorf("events %q, want it to keep its lease", got)
	}
	b.wantKeys(b.keys.Events())
}

// What is done is acknowledged even after the session's end: its order is fulfilled.
func TestConsumer_acknowledgesWhatWasDoneAtTheLastMoment(t *testing.T) {
	b := newBench(t)
	b.cfg.ShutdownTimeout = 100 * time.Millisecond
	b.push("m")
	started := make(chan struct{}, 10)
	stop := b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		must(t, d.Start(ctx, false))
		started <- struct{}{}
		<-ctx.Done()
		return nil // it was done all the same
	})
	<-started
	stop()
	b.wantKeys(b.keys.Events())
}
