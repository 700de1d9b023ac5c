package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is a kind of fault.
type fault struct {
	name    string
	about   string // for people
	proof   string // what is counted: without any, the fault did not happen
	lane    lane
	needs   need
	deafens bool                        // answers of PostgreSQL may be lost by it
	forgets bool                        // Redis may lose messages by it: only the reconciler brings their orders back
	lasts   func(profile) time.Duration // about, for the plan
	bound   func(profile) time.Duration // of a recovery; nil where none is promised
	inject  func(context.Context, *injection) (wound, error)
}

// calm is how long after a fault of the first phase the next may come: a Redis that was
// away leaves the reapers careful for a while.
func (f *fault) calm(p profile) time.Duration {
	if f.lane == onRedis || f.lane == onAll {
		return max(p.Lease, 2*time.Second) + time.Second
	}
	return time.Second
}

// need is what a fault needs of the environment.
type need int

const (
	needWorkers    need = 1 << iota // of ours
	needCrashes                     // a build that dies where it is told to
	needNetworks                    // that can be cut
	needProxies                     // that see the bytes
	needServers                     // that can be stopped
	needFiles                       // of Redis, on this machine
	needBackends                    // of PostgreSQL, that can be killed one by one
	needReconciler                  // in the workers
)

// wound is what a fault has done, once it is over.
type wound struct {
	proof int   // how much of what proves it
	cure  *cure // what tells that it has healed; nil where nothing is measured
}

// errMissed means that there was nothing to hit: the fault did not happen.
var errMissed = errors.New("there was nothing to hit")

// injection is one fault at work.
type injection struct {
	*nemesis
	worker worker // in the lane of one
	rng    *rand.Rand
}

// between draws a time.
func (i *injection) between(least, most time.Duration) time.Duration {
	return least + time.Duration(i.rng.Int64N(int64(most-least)))
}

func lasts(d time.Duration) func(profile) time.Duration {
	return func(profile) time.Duration { return d }
}

// possible are the faults that an environment lets happen.
func possible(faults []*fault, can need) []*fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f *fault) bool { return f.needs&^can != 0 })
}

// faults are all that there are.
var faults = func() (all []*fault) {
	for _, some := range [][]*fault{workerFaults, networkFaults, redisFaults, postgresFaults, producerFaults} {
		all = append(all, some...)
	}
	return all
}()
