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
//     carried it. Who asks by Do waits for that in any case: nobody gives up a request
//     that may be on its way.
//   - A request waits for nothing but the flush under way, and for no timer: where nothing
//     is under way it goes out at once, alone.
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

	turn chan turn // tells a caller that waits
	sent bool      // nobody waits
}

// turn is what a caller that waits is told.
type turn bool

const (
	answered turn = false
	yours    turn = true // to flush what has gathered
)

// Group coalesces the calls of [Group.Do], [Group.Send] and [Group.Lead]. Any number of
// goroutines may use one.
type Group[Q any, K comparable, A any] struct {
	// Then is called with what was sent, once it is answered, before anybody else of that
	// flush is told. Go has a flush run for which nobody waits, and returns at once; nil is a
	// new goroutine for each. Both are set before the first request, or not at all.
	Then func([]*Call[Q, A])
	Go   func(func())

	key   func(Q) K
	most  int
	flush func([]*Call[Q, A])

	mu       sync.Mutex
	gathered []*Call[Q, A]
	led      bool        // somebody flushes, or is about to
	began    int         // how many flushes have begun,
	passed   int         // and of those, how many hold up nobody any more
	since    time.Time   // when the last of them began
	slow     *time.Timer // ends the patience with it; nil: nobody waits for it
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
	c := g.call(request)
	if g.gather(c) || <-c.turn == yours {
		g.lead(c)
	}
	answer, err := c.Answer, c.Err
	g.end(c)
	return answer, err
}

// gather adds a call, and reports whether the caller must flush.
func (g *Group[Q, K, A]) gather(c *Call[Q, A]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gathered = append(g.gathered, c)
	return g.leads()
}

// Send has the requests flushed, and waits for nothing. What one goroutine sends in a row
// has a good chance to go out together: the flush begins when somebody gets round to it.
func (g *Group[Q, K, A]) Send(requests ...Q) {
	if first := g.send(requests); first != nil {
		g.goLead(first)
	}
}

// Lead is Send for who has nothing else to do: where nobody else is at it, he flushes
// himself, and waits until that is done.
func (g *Group[Q, K, A]) Lead(requests ...Q) {
	if first := g.send(requests); first != nil {
		g.lead(first)
	}
}

// send gathers the requests. It returns the first if the sender must see to the flush.
func (g *Group[Q, K, A]) send(requests []Q) *Call[Q, A] {
	if len(requests) == 0 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	first := len(g.gathered)
	for _, request := range requests {
		c := g.call(request)
		c.sent = true
		g.gathered = append(g.gathered, c)
	}
	if g.leads() {
		return g.gathered[first]
	}
	return nil
}

// Idle reports whether a request would go out at once, alone.
func (g *Group[Q, K, A]) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.led
}

func (g *Group[Q, K, A]) call(request Q) *Call[Q, A] {
	c := g.calls.Get().(*Call[Q, A])
	c.Request = request
	return c
}

// end is the end of a call.
func (g *Group[Q, K, A]) end(c *Call[Q, A]) {
	*c = Call[Q, A]{turn: c.turn}
	g.calls.Put(c)
}

// leads reports whether who has just gathered something must see to the flush, because
// nobody else does. Otherwise he will be told if he waits.
func (g *Group[Q, K, A]) leads() bool {
	lead := !g.led
	g.led = true
	g.losePatience()
	return lead
}

func (g *Group[Q, K, A]) goLead(c *Call[Q, A]) {
	if g.Go == nil {
		go g.lead(c)
		return
	}
	g.Go(func() { g.lead(c) })
}

// lead flushes what has gathered, of which mine is the first.
func (g *Group[Q, K, A]) lead(mine *Call[Q, A]) {
	batch, flush := g.take()
	g.safely(batch)
	g.pass(flush)
	var sent []*Call[Q, A]
	for _, c := range batch {
		if c.sent {
			sent = append(sent, c)
		}
	}
	if len(sent) > 0 && g.Then != nil {
		g.Then(sent)
	}
	for _, c := range batch {
		switch {
		case c.sent:
			g.end(c)
		case c != mine:
			c.turn <- answered
		}
	}
}

// take takes the oldest of what has gathered for a flush, and numbers that.
func (g *Group[Q, K, A]) take() (batch []*Call[Q, A], flush int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.key == nil {
		n := min(len(g.gathered), g.most)
		batch, g.gathered = g.gathered[:n:n], g.gathered[n:]
	} else {
		batch = g.takeDifferent()
	}
	g.began++
	g.since = time.Now()
	g.losePatience()
	return batch, g.began
}

// takeDifferent leaves what has the same key as something before it.
func (g *Group[Q, K, A]) takeDifferent() (batch []*Call[Q, A]) {
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

// losePatience lets the next flush begin in time, if there is one under way and somebody
// waits for its end.
func (g *Group[Q, K, A]) losePatience() {
	if g.slow == nil && len(g.gathered) > 0 && g.began > g.passed {
		flush := g.began
		g.slow = time.AfterFunc(Patience-time.Since(g.since), func() { g.pass(flush) })
	}
}

// pass lets the next flush begin, unless that was done.
func (g *Group[Q, K, A]) pass(flush int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.passed >= flush {
		return
	}
	g.passed = flush
	if g.slow != nil {
		g.slow.Stop()
		g.slow = nil
	}
	if len(g.gathered) == 0 {
		g.led = false
		return
	}
	if next := g.gathered[0]; next.sent {
		g.goLead(next) // he does not wait
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
