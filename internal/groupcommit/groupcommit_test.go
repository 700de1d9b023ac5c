package groupcommit_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/groupcommit"
)

type call = groupcommit.Call[int, string]

// desk is a group whose flushes take as long as a test likes, and remembers them.
type desk struct {
	*groupcommit.Group[int, int, string]
	began chan []int    // the requests of each flush, when it begins
	end   chan struct{} // lets one end
}

// newDesk returns a group for which requests exclude each other that are alike but for
// their hundreds.
func newDesk(most int) *desk {
	d := &desk{began: make(chan []int, 100), end: make(chan struct{})}
	d.Group = groupcommit.New(func(q int) int { return q % 100 }, most, d.flush)
	return d
}

func (d *desk) flush(calls []*call) {
	var requests []int
	for _, c := range calls {
		requests = append(requests, c.Request)
	}
	d.began <- requests
	<-d.end
	for _, c := range calls {
		c.Answer = fmt.Sprint("answer to ", c.Request)
	}
}

// ask makes the requests one after the other, each in a goroutine of its own.
func (d *desk) ask(t *testing.T, requests ...int) {
	for _, q := range requests {
		go func() {
			answer, err := d.Do(q)
			if want := fmt.Sprint("answer to ", q); answer != want || err != nil {
				t.Errorf("%d got %q, %v, want %q", q, answer, err, want)
			}
		}()
		synctest.Wait()
	}
}

// flushes ends flushes until no other begins, and returns what each carried.
func (d *desk) flushes() (all [][]int) {
	for {
		synctest.Wait()
		select {
		case d.end <- struct{}{}:
		default:
			for len(d.began) > 0 {
				all = append(all, <-d.began)
			}
			return all
		}
	}
}

func TestDo(t *testing.T) {
	tests := []struct {
		name string
		most int
		ask  []int
		want [][]int
	}{
		{"who is alone goes at once", 10, []int{1}, [][]int{{1}}},
		{"what gathers meanwhile goes together", 10, []int{1, 2, 3, 4}, [][]int{{1}, {2, 3, 4}}},
		{"no flush carries more than it may", 2, []int{1, 2, 3, 4, 5, 6}, [][]int{{1}, {2, 3}, {4, 5}, {6}}},
		{"what excludes each other goes one after the other", 10, []int{1, 2, 102, 3, 202}, [][]int{{1}, {2, 3}, {102}, {202}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(tt.most)
				d.ask(t, tt.ask...)
				if got := d.flushes(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("the flushes carried %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// The next flush does not wait for one that is slow, but it does wait for one that is not.
func TestDo_aSlowFlushHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		d.ask(t, 1, 2)
		<-time.After(groupcommit.Patience - time.Nanosecond)
		if n := len(d.began); n != 1 {
			t.Errorf("%d flushes at once, want 1: the first is not slow yet", n)
		}
		<-time.After(2 * time.Nanosecond)
		synctest.Wait()
		if n := len(d.began); n != 2 {
			t.Errorf("%d flushes at once, want 2: the first is slow", n)
		}
		d.ask(t, 3)
		if got, want := d.flushes(), [][]int{{1}, {2}, {3}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the flushes carried %v, want %v", got, want)
		}
	})
}

// then keeps the answers to what was sent.
func (d *desk) then(t *testing.T) chan string {
	answers := make(chan string, 10)
	d.Then = func(calls []*call) {
		for _, c := range calls {
			if c.Err != nil {
				t.Error(c.Err)
			}
			answers <- c.Answer
		}
	}
	return answers
}

// Who sends and does not wait is answered all the same, and holds up nobody: neither as the
// only one, nor where it would be his turn to flush.
func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(2)
		answers := d.then(t)
		d.Send(1) // which waits for nothing
		synctest.Wait()
		d.Send(2, 3)
		d.ask(t, 4)
		d.Send(5)
		d.Send()
		if got, want := d.flushes(), [][]int{{1}, {2, 3}, {4, 5}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the flushes carried %v, want %v", got, want)
		}
		for _, q := range []int{1, 2, 3, 5} {
			if got, want := <-answers, fmt.Sprint("answer to ", q); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// Flushes for which nobody waits are run by whom the group was given for that, and what is
// sent until he begins goes out with the first.
func TestSend_byWhomItIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		d.then(t)
		var flushes []func()
		d.Go = func(f func()) { flushes = append(flushes, f) }
		for q := range 3 {
			d.Send(q)
		}
		if len(flushes) != 1 {
			t.Fatalf("%d flushes were given to run, want 1", len(flushes))
		}
		go flushes[0]()
		synctest.Wait()
		d.Send(7, 8)
		d.end <- struct{}{}
		synctest.Wait()
		if len(flushes) != 2 {
			t.Fatalf("%d flushes were given to run, want the next, too", len(flushes))
		}
		go flushes[1]()
		if got, want := d.flushes(), [][]int{{0, 1, 2}, {7, 8}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the flushes carried %v, want %v", got, want)
		}
	})
}

// Who leads flushes himself where nobody else is at it, and else waits for nothing.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		answers := d.then(t)
		d.Go = func(f func()) { go f() }
		if !d.Idle() {
			t.Error("it says that a flush is under way")
		}
		led := make(chan struct{})
		go func() {
			d.Lead(1, 2)
			close(led)
		}()
		synctest.Wait()
		if d.Idle() {
			t.Error("it says that no flush is under way")
		}
		d.Lead(3) // which waits for nothing
		d.Lead()
		select {
		case <-led:
			t.Error("it does not wait for its own flush")
		default:
		}
		if got, want := d.flushes(), [][]int{{1, 2}, {3}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the flushes carried %v, want %v", got, want)
		}
		<-led
		for _, q := range []int{1, 2, 3} {
			if got, want := <-answers, fmt.Sprint("answer to ", q); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestDo_aPanicIsEverybodysError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		g := groupcommit.New(func(q int) int { return q }, 10, func(calls []*call) {
			<-hold
			if len(calls) > 1 {
				panic("no")
			}
		})
		results := make(chan error, 3)
		for q := range 3 {
			go func() {
				_, err := g.Do(q)
				results <- err
			}()
			synctest.Wait()
		}
		close(hold)
		synctest.Wait()
		failed := 0
		for range 3 {
			if err := <-results; err != nil {
				failed++
			}
		}
		if failed != 2 {
			t.Errorf("%d calls failed, want the 2 of the flush that panicked", failed)
		}
		if _, err := g.Do(7); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}

// Patience is for those who wait, whenever they came, and for one flush after the other.
func TestDo_patienceBeginsWithTheFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(1)
		d.ask(t, 1)
		<-time.After(groupcommit.Patience / 2)
		d.ask(t, 2, 3)
		<-time.After(groupcommit.Patience/2 + 1)
		synctest.Wait()
		if n := len(d.began); n != 2 {
			t.Errorf("%d flushes have begun, want 2: the first is slow", n)
		}
		<-time.After(groupcommit.Patience + 1)
		synctest.Wait()
		if n := len(d.began); n != 3 {
			t.Errorf("%d flushes have begun, want 3: the second is slow, too", n)
		}
		d.flushes()
	})
}

// Without a key no request excludes another, and no flush carries more than it may.
func TestDo_withoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{began: make(chan []int, 100), end: make(chan struct{})}
		d.Group = groupcommit.New[int, int](nil, 3, d.flush)
		d.ask(t, 1, 1, 2, 1, 3)
		if got, want := d.flushes(), [][]int{{1}, {1, 2, 1}, {3}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the flushes carried %v, want %v", got, want)
		}
	})
}

// However many ask at once, each request is carried once and gets its own answer or error.
func TestDo_everyoneIsAnswered(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	var mu sync.Mutex
	carried := map[int]int{}
	g := groupcommit.New(func(q int) int { return q % 50 }, 20, func(calls []*call) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range calls {
			carried[c.Request]++
			if c.Answer = fmt.Sprint(c.Request); c.Request%2 == 1 {
				c.Err = odd
			}
		}
	})
	var callers sync.WaitGroup
	for n := range 64 {
		callers.Go(func() {
			for i := range 200 {
				q := n*200 + i
				if answer, err := g.Do(q); answer != fmt.Sprint(q) || (q%2 == 1) != errors.Is(err, odd) {
					t.Errorf("%d got %q, %v", q, answer, err)
				}
			}
		})
	}
	callers.Wait()
	for q, n := range carried {
		if n != 1 {
			t.Errorf("%d was carried %d times", q, n)
		}
	}
	if len(carried) != 64*200 {
		t.Errorf("%d requests were carried, want %d", len(carried), 64*200)
	}
}

// However requests are made, with keys that exclude each other, flushes that may carry few
// and some that are slow, each is carried once and answered once.
func TestGroup_everyoneIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	const callers, each = 16, 300
	var mu sync.Mutex
	answers := map[int]int{}
	answered := func(q int, answer string) {
		if want := fmt.Sprint("answer to ", q); answer != want {
			t.Errorf("%d got %q, want %q", q, answer, want)
		}
		mu.Lock()
		defer mu.Unlock()
		answers[q]++
	}
	flushes := 0
	g := groupcommit.New(func(q int) int { return q % 50 }, 7, func(calls []*call) {
		mu.Lock()
		flushes++
		slow := flushes%100 == 0
		mu.Unlock()
		if slow {
			<-time.After(groupcommit.Patience * 11 / 10)
		}
		for _, c := range calls {
			c.Answer = fmt.Sprint("answer to ", c.Request)
		}
	})
	var sent sync.WaitGroup
	g.Then = func(calls []*call) {
		for _, c := range calls {
			answered(c.Request, c.Answer)
			sent.Done()
		}
	}
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			for i := range each {
				q := n*each + i
				switch n % 3 {
				case 0:
					answer, err := g.Do(q)
					if err != nil {
						t.Error(err)
					}
					answered(q, answer)
				case 1:
					sent.Add(1)
					g.Send(q)
				default:
					sent.Add(1)
					g.Lead(q)
				}
			}
		})
	}
	all.Wait()
	sent.Wait()
	for q := range callers * each {
		if answers[q] != 1 {
			t.Errorf("%d was answered %d times", q, answers[q])
		}
	}
}
