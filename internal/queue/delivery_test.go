package queue_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// Of a message that comes back its next holder is charged what is owed: a death, if he takes
// the order out of the dead one's hand. The mark goes with that.
func TestDelivery_Start(t *testing.T) {
	tests := []struct {
		name    string
		mark    string // how it came back
		before  int    // deliveries charged to it
		heir    bool   // its order was in a former holder's hand
		number  int    // of the delivery; 0: the work must not begin
		charged int
	}{
		{"its first delivery", "", 0, false, 1, 0},
		{"its holder had died before he claimed the order", "died w-0", 0, false, 1, 0},
		{"its holder had died", "died w-0", 0, true, 2, 1},
		{"its holder had died, not for the first time", "died w-0", 1, true, 3, 2},
		{"that was its last delivery", "died w-0", 2, true, 0, 3},
		{"it has no delivery left", "returned", 3, true, 0, 3},
		{"it was handed back, with its order begun", "returned", 0, true, 1, 0},
		{"it was handed back", "returned", 0, false, 1, 0},
		{"it had failed", "returned", 1, true, 2, 1},
		{"nobody came back with it, and its order is taken over for its age", "", 0, true, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			if tt.mark != "" {
				b.mark("m", tt.mark)
			}
			if tt.before > 0 {
				must(t, b.rdb.HSet(t.Context(), b.keys.Deliveries(), queue.Digest([]byte("m")), tt.before).Err())
			}
			b.push("m")
			begun := make(chan error, 1)
			b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
				err := d.Start(ctx, tt.heir)
				switch number := d.Number(); {
				case err == nil && number != tt.number:
					err = fmt.Errorf("it is delivery %d, want %d", number, tt.number)
				case b.charged("m") != tt.charged:
					err = fmt.Errorf("%d deliveries are charged, want %d", b.charged("m"), tt.charged)
				case b.marked("m") != "":
					err = fmt.Errorf("it is marked %q still", b.marked("m"))
				case err != nil && tt.number == 0:
					begun <- nil
					return err
				}
				begun <- err
				return nil
			})
			must(t, <-begun)
			testenv.Eventually(t, 5*time.Second, "nothing is kept of it", func() bool {
				return b.rdb.Exists(t.Context(), b.keys.Deliveries(), b.keys.Returned(), b.keys.Processing(b.firstInstance())).Val() == 0
			})
			dead := b.dead()
			if len(dead) > 1 || (len(dead) == 1) != (tt.number == 0) {
				t.Fatalf("the dead letters are %v", dead)
			}
			want := "its worker died: w-0"
			if tt.mark == "returned" {
				want = "its deliveries are used up"
			}
			if len(dead) == 1 && (dead[0]["reason"] != "exhausted" || dead[0]["error"] != want || dead[0]["deliveries"] != "3") {
				t.Errorf("the dead letter is %v", dead[0])
			}
		})
	}
}

// A start whose answer is lost is asked for again, and charged once.
func TestDelivery_startIsChargedOnce(t *testing.T) {
	b := newBench(t)
	proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
	must(t, queue.LoadStart(t.Context(), b.rdb))
	b.mark("m", "died w-0")
	b.push("m")
	numbers := make(chan int, 1)
	b.consume(queue.NewConsumer(b.queue("redis://"+proxy.Addr(), silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		proxy.LoseReplies(1, queue.StartSHA, func(r []byte) bool { return r[0] == '*' })
		if err := d.Start(ctx, true); err != nil {
			return err
		}
		numbers <- d.Number()
		return nil
	})
	if n := <-numbers; n != 2 || proxy.Lost() != 1 {
		t.Errorf("it is delivery %d after %d lost answers, want delivery 2 after one", n, proxy.Lost())
	}
}

// A message about which nothing is kept begins without a question to Redis, claimed alone or
// with others. One among them that came back is asked about.
func TestDelivery_startsAtOnceWhatIsFresh(t *testing.T) {
	tests := []struct {
		name, marked string
		least, most  float64 // questions
	}{
		{"all are", "", 0, 0},
		{"but for the one that is claimed alone", "m0", 1, 9},
		{"but for one that is claimed together with others", "m5", 1, 9}, // others, too, that are claimed alone while something is kept
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Concurrency = 16
			b.push(names("m", 10)...)
			if tt.marked != "" {
				b.mark(tt.marked, "returned")
			}
			b.consume(queue.NewConsumer(b.measured(b.url), open), func(ctx context.Context, d *queue.Delivery) error {
				must(t, d.Start(ctx, false))
				if how := b.marked(string(d.Payload)); how != "" {
					t.Errorf("%s is marked %q still", d.Payload, how)
				}
				return nil
			})
			testenv.Eventually(t, 5*time.Second, "all is done", func() bool {
				return b.rdb.Exists(t.Context(), b.keys.Queue(), b.keys.Processing(b.firstInstance())).Val() == 0
			})
			if n := b.counted(`fulfillment_redis_call_duration_seconds_count{command="start"}`); n < tt.least || n > tt.most {
				t.Errorf("Redis was asked %v times, want %v to %v", n, tt.least, tt.most)
			}
		})
	}
}

// What is worked on is shown in Redis, with when it began by Redis's clock, and no longer
// than it goes on.
func TestConsumer_showsItsWork(t *testing.T) {
	b := newBench(t)
	b.cfg.Lease = time.Minute // no beat shows anything
	b.push("m")
	end := make(chan struct{})
	b.consume(queue.NewConsumer(b.queue(b.url, silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		d.Concerns(17, "c 17")
		must(t, d.Start(ctx, false))
		<-end
		return nil
	})
	began, err := b.rdb.Time(t.Context()).Result()
	must(t, err)
	field := "order:" + queue.Digest([]byte("m"))
	shown := func() string { return b.rdb.HGet(t.Context(), b.keys.Worker(b.firstInstance()), field).Val() }
	testenv.Eventually(t, 5*time.Second, "it is shown", func() bool { return shown() != "" })
	since, about, _ := strings.Cut(shown(), " ")
	if about != "17 c 17" {
		t.Errorf("it is about %q, want the order's ids", about)
	}
	if ms, err := strconv.ParseInt(since, 10, 64); err != nil || time.UnixMilli(ms).Sub(began).Abs() > 2*time.Second {
		t.Errorf("it began at %s, want about %d", since, began.UnixMilli())
	}
	close(end)
	testenv.Eventually(t, 5*time.Second, "it is shown no longer", func() bool { return shown() == "" })
}

// A snapshot whose answer is lost was taken: what is over before the next one is shown no longer
// all the same.
func TestConsumer_showsNoWorkThatIsOver(t *testing.T) {
	b := newBench(t)
	proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
	proxy.LoseReplies(1, b.load("snapshot.lua"), nil)
	b.push("m")
	end := make(chan struct{})
	b.consume(queue.NewConsumer(b.queue("redis://"+proxy.Addr(), silent()), open), func(ctx context.Context, d *queue.Delivery) error {
		must(t, d.Start(ctx, false))
		<-end
		return nil
	})
	testenv.Eventually(t, 5*time.Second, "an answer is lost", func() bool { return proxy.Lost() == 1 })
	field := "order:" + queue.Digest([]byte("m"))
	shown := func() bool { return b.rdb.HExists(t.Context(), b.keys.Worker(b.firstInstance()), field).Val() }
	if !shown() {
		t.Error("it is not shown: the fault did not happen")
	}
	close(end)
	testenv.Eventually(t, 5*time.Second, "it is shown no longer", func() bool { return !shown() })
}
