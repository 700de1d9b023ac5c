package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// nemesis carries a plan out and keeps the account of it.
type nemesis struct {
	*clients
	env      environment
	history  *history
	producer *producer
	profile  profile
	tell     func(format string, args ...any) // what people see while it goes on

	mu       sync.Mutex
	injuries []injury
	tried    []injury        // all that deafens, also what proved nothing
	troubles violations      // promises broken that no order shows, as a wrong exit code
	deleted  map[string]bool // SHA-1 of payloads that a fault has deleted: their marks stay
}

// injury is a fault that was tried.
type injury struct {
	Fault    string        `json:"fault"`
	Victim   string        `json:"victim"`
	Alone    bool          `json:"alone"`
	Begin    time.Time     `json:"begin"`
	End      time.Time     `json:"end"`
	Proof    int           `json:"proof"`
	Since    time.Time     `json:"recovery_since"`
	Measured bool          `json:"recovery_measured"`
	Healed   bool          `json:"recovered"`
	Took     time.Duration `json:"recovery_ns"`

	deafens bool
	lane    lane
}

const tries = 20 // of a fault that finds nothing to hit, as a Redis that is not back yet

// carryOut injects what the plan says.
func (n *nemesis) carryOut(ctx context.Context, p plan) {
	for _, a := range p.alone {
		if n.steady(ctx); ctx.Err() != nil {
			return
		}
		n.attempt(ctx, a, true)
		sleep(ctx, a.fault.calm(n.profile))
	}
	n.tell("everything at once, for about %s", short(p.spell))
	var together sync.WaitGroup
	for _, lane := range p.together {
		together.Go(func() {
			for _, a := range lane {
				if !sleep(ctx, a.pause) {
					return
				}
				n.attempt(ctx, a, false)
			}
		})
	}
	together.Wait()
}

// attempt injects a fault until it has hit something.
func (n *nemesis) attempt(ctx context.Context, a assignment, alone bool) {
	for try := range tries {
		hit := n.inject(ctx, a, uint64(try), alone)
		if hit || ctx.Err() != nil || !sleep(ctx, 200*time.Millisecond) {
			return
		}
	}
}

// inject tries a fault once.
func (n *nemesis) inject(ctx context.Context, a assignment, try uint64, alone bool) (hit bool) {
	i := &injection{nemesis: n, rng: rand.New(rand.NewPCG(a.seed, try)), worker: n.at(a.lane)}
	one := injury{Fault: a.fault.name, Victim: a.lane, Alone: alone, Begin: time.Now(), deafens: a.fault.deafens, lane: a.fault.lane}
	if i.worker != nil {
		one.Victim = i.worker.Life()
	}
	w, err := a.fault.inject(ctx, i)
	one.End, one.Proof = time.Now(), w.proof
	switch {
	case err != nil && !errors.Is(err, errMissed) && ctx.Err() == nil:
		n.trouble("%s at %s: %v", a.fault.name, a.lane, err)
	case w.proof > 0 && alone && w.cure != nil:
		n.recover(ctx, a.fault, w.cure, &one)
	}
	n.history.drop(w.cure)
	n.mu.Lock()
	defer n.mu.Unlock()
	if one.deafens {
		n.tried = append(n.tried, one)
	}
	if w.proof > 0 {
		n.injuries = append(n.injuries, one)
		n.tell("%s", one.line(a.fault, n.profile))
	}
	return w.proof > 0
}

// patience is how much longer than its bound a recovery is waited for.
const patience = 20 * time.Second

func (n *nemesis) recover(ctx context.Context, f *fault, c *cure, one *injury) {
	limited, cancel := context.WithTimeout(ctx, f.bound(n.profile)+patience)
	defer cancel()
	one.Since = c.since
	one.Took, one.Healed = c.wait(limited)
	one.Measured = one.Healed || ctx.Err() == nil
}

// line is what people read of an injury.
func (i injury) line(f *fault, p profile) string {
	text := fmt.Sprintf("%-18s %-12s %5d %s", i.Fault, i.Victim, i.Proof, f.proof)
	switch {
	case i.Measured && !i.Healed:
		text += ", NOT RECOVERED"
	case i.Measured:
		text += fmt.Sprintf(", recovered in %s of %s", short(i.Took), short(f.bound(p)))
	}
	return text
}

// steady waits until every worker fulfils orders, so that what comes next meets it at
// work.
func (n *nemesis) steady(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := n.everyone(time.Now())
	if _, ok := c.wait(limited); !ok && ctx.Err() == nil {
		n.trouble("not every worker fulfils orders %s after the faults before", short(patience))
	}
	n.history.drop(c)
}

// deaf reports whether that life may have missed answers of PostgreSQL then: what it did
// last is of unknown outcome to it.
func (n *nemesis) deaf(life string, from, to time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.tried, func(i injury) bool {
		return (i.lane == onPostgres || slot(i.Victim) == slot(life)) && i.Begin.Before(to) && from.Before(i.End.Add(aftermath))
	})
}

// aftermath is for how long after a fault an answer may still be found missing.
const aftermath = 5 * time.Second

// trouble notes a promise that was broken.
func (n *nemesis) trouble(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.troubles.add(format, args...)
	n.tell("TROUBLE: "+format, args...)
}

// at is the worker of that lane.
func (n *nemesis) at(lane string) worker {
	for _, w := range n.env.Workers() {
		if w.Name() == lane {
			return w
		}
	}
	return nil
}
