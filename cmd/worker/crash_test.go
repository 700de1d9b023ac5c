package main_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// A worker dies by kill -9 at each step between claim and ack, while another one
// lives: every order is fulfilled once, within the lease and a second, and the message
// is charged only if its order was claimed.
func TestWorker_killedAtEachStep(t *testing.T) {
	tests := []struct {
		point   string
		charged int  // to the message that was in hand
		done    bool // the order is fulfilled already
	}{
		{"joined", 0, false},
		{"claimed", 0, false},
		{"row_claimed", 1, false},
		{"started", 1, false},
		{"working", 1, false},
		{"worked", 1, false},
		{"fulfilled", 1, true},
		{"finished", 1, true},
		{"acked", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.point, func(t *testing.T) {
			s := newSite(t)
			ids := s.order(1)
			victim := s.startCrashing(tt.point)
			victim.diesOfItself()
			died := time.Now()

			ids = append(ids, s.order(10)...) // life goes on
			heir := s.start("WORKER_ID=heir")
			heir.awaitStart()
			testenv.Eventually(t, 10*time.Second, "the dead worker is reaped", func() bool {
				return s.rdb.ZCard(t.Context(), s.keys.Workers()).Val() == 1
			})
			s.awaitFulfilled(10 * time.Second)
			t.Logf("%d orders, all fulfilled %v after the death", len(ids), time.Since(died).Round(time.Millisecond))
			delivered := heir.said(fmt.Sprintf("Processing order %d", ids[0]))
			switch {
			case tt.done && len(delivered) != 0:
				t.Errorf("its order was fulfilled before, and worked again: %+v", delivered)
			case !tt.done && (len(delivered) != 1 || delivered[0].Delivery != 1+tt.charged):
				t.Errorf("its order was delivered as %+v, want once, as delivery %d", delivered, 1+tt.charged)
			}
			s.settled(heir)
		})
	}
}

// A worker dies between the work on one order and that on the next, which it takes for the
// same slot: each is worked again only if it must be.
func TestWorker_killedWhileItRelays(t *testing.T) {
	tests := []struct {
		point  string
		charge [2]int // to the one and to the other; -1: it is not worked again
	}{
		{"worked", [2]int{1, 0}},
		{"claimed:2", [2]int{1, 0}},
		{"row_claimed:2", [2]int{-1, 1}}, // one commit has finished the one and claimed the other
		{"fulfilled", [2]int{-1, 1}},
		{"started:2", [2]int{-1, 1}},
		{"fulfilled:2", [2]int{-1, -1}},
	}
	for _, tt := range tests {
		t.Run(tt.point, func(t *testing.T) {
			s := newSite(t)
			ids := s.order(4) // all are there when it begins
			s.startCrashing(tt.point, "WORKER_CONCURRENCY=1", "PROCESSING_MIN=50ms", "PROCESSING_MAX=50ms").diesOfItself()
			heir := s.start("WORKER_ID=heir")
			s.awaitFulfilled(15 * time.Second)
			for i, charge := range tt.charge {
				again := heir.said(fmt.Sprintf("Processing order %d", ids[i]))
				if charge < 0 && len(again) != 0 || charge >= 0 && (len(again) != 1 || again[0].Delivery != 1+charge) {
					t.Errorf("order %d of the list was worked again as %+v, want it charged %d", i+1, again, charge)
				}
			}
			s.settled(heir)
		})
	}
}

// With a lively worker beside it, what a dead one held is taken over within the lease
// and one second.
func TestWorker_isSucceededInTime(t *testing.T) {
	s := newSite(t)
	heir := s.start("WORKER_ID=heir", "WORKER_CONCURRENCY=2")
	heir.awaitStart()
	for range 5 {
		victim := s.startCrashing("working:2", "WORKER_ID=victim", "WORKER_CONCURRENCY=8")
		victim.awaitStart()
		s.order(30)
		victim.diesOfItself()
		died := time.Now()
		testenv.Eventually(t, recovery, "what the dead worker held is taken over", func() bool {
			return s.rdb.ZCard(t.Context(), s.keys.Workers()).Val() == 1
		})
		t.Logf("reaped %v after its death", time.Since(died).Round(time.Millisecond))
		s.awaitFulfilled(10 * time.Second)
	}
	s.settled(heir)
}

// A reaper dies in the middle of its work; the next one goes on from there.
func TestWorker_reaperKilled(t *testing.T) {
	s := newSite(t)
	s.order(8)
	s.startCrashing("working:4", "WORKER_CONCURRENCY=8").diesOfItself()
	s.startCrashing("reaping").diesOfItself()
	heir := s.start()
	s.awaitFulfilled(15 * time.Second)
	s.settled(heir)
}

func TestWorker_killedWhileItLeaves(t *testing.T) {
	s := newSite(t)
	s.order(4)
	victim := s.startCrashing("leaving", "SHUTDOWN_TIMEOUT=0", "PROCESSING_MIN=10s", "PROCESSING_MAX=10s")
	victim.awaitLog(20*time.Second, "Processing order")
	victim.signal(syscall.SIGTERM)
	victim.diesOfItself()
	heir := s.start()
	s.awaitFulfilled(15 * time.Second)
	s.settled(heir)
}

// Workers are killed at random under load, again and again, and come back under their
// names.
func TestWorker_randomKills(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "MAX_DELIVERIES=1000", "PROCESSING_MIN=100ms", "PROCESSING_MAX=500ms")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	workers := make([]*worker, 3)
	for i := range workers {
		workers[i] = s.start(fmt.Sprintf("WORKER_ID=w%d", i))
		workers[i].awaitStart()
	}
	total := 0
	const kills = 25
	for range kills {
		total += len(s.order(12))
		var busy []int
		testenv.Eventually(t, 10*time.Second, "somebody has orders in hand", func() bool {
			for i, w := range workers {
				if len(w.log("Processing order")) > w.finished() {
					busy = append(busy, i)
				}
			}
			return len(busy) > 0
		})
		i := busy[random.IntN(len(busy))]
		workers[i].kill()
		workers[i] = s.start(fmt.Sprintf("WORKER_ID=w%d", i))
		workers[i].awaitStart()
	}
	s.awaitFulfilled(30 * time.Second)
	t.Logf("%d orders, %d kills, %d take-overs", total, kills, testenv.CountTakeovers(t, s.databaseURL))
	s.settled(workers...)
}

// An order that takes its worker down is counted by its heirs and given up after
// MAX_DELIVERIES deaths.
func TestWorker_orderThatKills(t *testing.T) {
	s := newSite(t)
	s.env = append(s.env, "MAX_DELIVERIES=3")
	poison := s.order(1)[0]
	for range 3 {
		s.startCrashing("working").diesOfItself()
	}
	healthy := s.start()
	testenv.Eventually(t, 10*time.Second, "the order is a dead letter", func() bool {
		return s.rdb.XLen(t.Context(), s.keys.Dead()).Val() == 1
	})
	letter := s.rdb.XRange(t.Context(), s.keys.Dead(), "-", "+").Val()[0].Values
	for field, want := range map[string]string{
		"payload": payload(poison), "reason": "exhausted", "deliveries": "3",
		"order_id": fmt.Sprint(poison), "correlation_id": fmt.Sprintf("c-%d", poison),
	} {
		if letter[field] != want {
			t.Errorf("the dead letter's %s is %q, want %q", field, letter[field], want)
		}
	}
	if n := len(healthy.log("Processing order")); n != 0 {
		t.Errorf("it was worked %d times after its last delivery", n)
	}
	s.settled(healthy)
}

// A worker that was frozen for three leases and wakes finishes nothing of what was taken
// over meanwhile.
func TestWorker_zombie(t *testing.T) {
	tests := []struct {
		name string
		heir []string // the heir's settings
	}{
		{"it wakes while its heir works", []string{"PROCESSING_MIN=4s", "PROCESSING_MAX=4s"}},
		{"it wakes when its heir is done", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			zombie := s.start("WORKER_ID=zombie", "PROCESSING_MIN=500ms", "PROCESSING_MAX=500ms")
			zombie.awaitStart()
			ids := s.order(4)
			testenv.Eventually(t, 10*time.Second, "it has all in hand", func() bool { return len(zombie.log("Processing order")) == 4 })
			zombie.signal(syscall.SIGSTOP)
			heir := s.start(append(tt.heir, "WORKER_ID=heir")...)
			testenv.Eventually(t, 5*lease+5*time.Second, "the heir has taken all over", func() bool {
				return testenv.CountTakeovers(t, s.databaseURL) == len(ids)
			})
			if tt.heir == nil {
				s.awaitFulfilled(10 * time.Second)
			}
			zombie.signal(syscall.SIGCONT)
			zombie.awaitLog(10*time.Second, "joined anew")
			s.awaitFulfilled(20 * time.Second)
			if n := len(zombie.log("Order ")) - len(zombie.log("Order was")); n != 0 {
				t.Errorf("the zombie finished %d orders", n)
			}
			if n := testenv.CountTakeovers(t, s.databaseURL); n != len(ids) {
				t.Errorf("%d take-overs, want %d", n, len(ids))
			}
			s.settled(zombie, heir)
		})
	}
}

func TestWorker_restartedUnderTheSameName(t *testing.T) {
	s := newSite(t)
	s.order(4)
	first := s.start("WORKER_ID=same", "PROCESSING_MIN=10s", "PROCESSING_MAX=10s")
	testenv.Eventually(t, 20*time.Second, "it has all in hand", func() bool { return len(first.log("Processing order")) == 4 })
	first.kill()
	second := s.start("WORKER_ID=same")
	s.awaitFulfilled(recovery + 5*time.Second)
	if a, b := first.log("Fulfillment Worker started")[0].Instance, second.log("Fulfillment Worker started")[0].Instance; a == b {
		t.Errorf("both are instance %s", a)
	}
	s.settled(second)
}

func TestWorker_registryDeleted(t *testing.T) {
	s := newSite(t)
	a, b := s.start("WORKER_ID=a"), s.start("WORKER_ID=b")
	a.awaitStart()
	b.awaitStart()
	for range 5 {
		s.order(20)
		must(t, s.rdb.Del(t.Context(), s.keys.Workers()).Err())
		s.awaitFulfilled(20 * time.Second)
	}
	s.nothingCharged()
	s.settled(a, b)
}
