// Package groupcommit lets callers share a round trip: what they ask for while one is under
// way goes out together in the next.
//
// The term is that of databases, where the log records of all transactions that gathered
// during one flush are written by the next (DeWitt et al., Implementation Techniques for
// Main Memory Database Systems, 1984).
//
// # What callers may rely on
//
//   - Each caller gets the answer to its own request, and gets it from the flush that
//     carried it. It waits for that in any case: nobody gives up a request that may be
//     on its way.
//   - A request waits for nothing but the flush under way. There is no timer: where
//     nothing is under way it goes out at once, alone.
//   - Two requests with one key never go out in one flush; the later one waits for the next.
//   - A flush that takes unusually long holds up nobody who was not in it.
//
// # What this package never does
//
//   - It never repeats a request, and never drops one: what becomes of a flush that
//     failed is its callers' business.
//   - It has no goroutine of its own while callers wait: they flush for each other. One
//     flushes for those who do not wait.
package groupcommit

import (
	"fmt"
	"sync"
	"time"
)

// Patience is how long a flush may hold up the next one.
const Patience = 100 * time.Millisecond

// A Call is a request on its way, and its answer once there is one.
type Call[Q, A any] struct {
	Request Q
	Answer  A
	Err     error

	turn chan turn      // tells a caller that waits
	then func(A, error) // or is called instead
}

// turn is what a caller that waits is told.
type turn bool

const (
	answered turn = false
	yours    turn = true // to flush what has gathered
)

// Group coalesces the calls of [Group.Do] and [Group.Send]. Any number of goroutines may use one.
type Group[Q any, K comparable, A any] struct {
	// Go runs the flushes for which nobody waits. It may be set before the first of them; nil
	// is a new goroutine for each.
	Go func(func())

	key   func(Q) K
	most  int
	flush func([]*Call[Q, A])

	mu       sync.Mutex
	flushing bool
	gathered []*Call[Q, A]
	calls    sync.Pool
}

// New returns a group whose flush carries up to most requests, of which no two have the
// same key; nil is that none exclude each other. It sets Answer or Err of each.
func New[Q any, K comparable, A any](key func(Q) K, most int, flush func([]*Call[Q, A])) *Group[Q, K, A] {
	g := &Group[Q, K, A]{key: key, most: most, flush: flush}
	g.calls.New = func() any { return &Call[Q, A]{turn: make(chan turn, 1)} }
	return g
}

// Do has the request flushed and returns the answer to it.
func (g *Group[Q, K, A]) Do(request Q) (A, error) {
	c := g.calls.Get().(*Call[Q, A])
	c.Request = request
	if g.leads(c) || <-c.turn == yours {
		g.lead(c)
	}
	return g.end(c)
}

// Send has the request flushed and calls then with the answer to it, in another goroutine.
// Nobody else is answered before then returns. What one goroutine sends in a row has a good
// chance to go out together: the flush begins when somebody gets round to it.
func (g *Group[Q, K, A]) Send(request Q, then func(A, error)) {
	c := g.calls.Get().(*Call[Q, A])
	c.Request, c.then = request, then
	if g.leads(c) {
		g.goLead(c)
	}
}

func (g *Group[Q, K, A]) goLead(c *Call[Q, A]) {
	if g.Go == nil {
		go g.lead(c)
		return
	}
	g.Go(func() { g.lead(c) })
}

// end is the end of a call.
func (g *Group[Q, K, A]) end(c *Call[Q, A]) (A, error) {
	answer, err := c.Answer, c.Err
	*c = Call[Q, A]{turn: c.turn}
	g.calls.Put(c)
	return answer, err
}

// leads reports whether the caller must flush, because nobody else is at it. Otherwise it
// will be told.
func (g *Group[Q, K, A]) leads(c *Call[Q, A]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gathered = append(g.gathered, c)
	lead := !g.flushing
	g.flushing = true
	return lead
}

// lead flushes what has gathered, of which mine is the first.
func (g *Group[Q, K, A]) lead(mine *Call[Q, A]) {
	batch := g.take()
	pass := sync.OnceFunc(g.pass)
	slow := time.AfterFunc(Patience, pass)
	g.safely(batch)
	slow.Stop()
	pass()
	for _, c := range batch {
		switch then := c.then; {
		case then != nil:
			then(g.end(c))
		case c != mine:
			c.turn <- answered
		}
	}
}

// take takes the oldest of what has gathered.
func (g *Group[Q, K, A]) take() (batch []*Call[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.key == nil {
		n := min(len(g.gathered), g.most)
		batch, g.gathered = g.gathered[:n:n], g.gathered[n:]
		return batch
	}
	taken := make(map[K]bool, min(len(g.gathered), g.most))
	left := g.gathered[:0]
	for _, c := range g.gathered {
		key := g.key(c.Request)
		if len(batch) == g.most || taken[key] {
			left = append(left, c)
			continue
		}
		taken[key] = true
		batch = append(batch, c)
	}
	clear(g.gathered[len(left):])
	g.gathered = left
	return batch
}

// pass lets the next flush begin.
func (g *Group[Q, K, A]) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.gathered) == 0 {
		g.flushing = false
		return
	}
	if next := g.gathered[0]; next.then != nil {
		g.goLead(next) // nobody waits who could
	} else {
		next.turn <- yours
	}
}

// safely turns a panic into everybody's error: a caller that nobody answers waits for ever.
func (g *Group[Q, K, A]) safely(batch []*Call[Q, A]) {
	defer func() {
		if p := recover(); p != nil {
			for _, c := range batch {
				c.Err = fmt.Errorf("the flush panicked: %v", p)
			}
		}
	}()
	g.flush(batch)
}
