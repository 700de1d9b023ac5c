package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// lane is what a fault hits. Faults of one lane never overlap; in the second phase the
// lanes run side by side.
type lane string

const (
	onWorker   lane = "worker" // there is one such lane for each worker
	onRedis    lane = "redis"
	onPostgres lane = "postgres"
	onProducer lane = "producer"
	onAll      lane = "all" // nothing else may happen meanwhile: in the first phase only
)

// assignment is one fault to come.
type assignment struct {
	fault *fault
	lane  string // "redis", "worker-3"
	pause time.Duration
	seed  uint64 // of the fault's own choices
}

// plan is the schedule of a run: first one fault at a time, so that each recovery can be
// measured, then everything at once. The same seed, faults, places and time make the same
// plan; what the processes make of it is another matter each time.
type plan struct {
	alone    []assignment
	together map[string][]assignment // by lane
	spell    time.Duration           // of the second phase
}

const (
	aloneShare   = 0.6 // of the time at most,
	aloneRounds  = 3   // and so often each: what is left of a long run is for everything at once
	longestPause = 800 * time.Millisecond
)

// newPlan draws the faults out of a bag without putting them back until it is empty, so
// that each comes up before any comes twice; those that the first phase had are the last
// in the second.
func newPlan(seed uint64, faults []*fault, places []string, p profile, duration time.Duration) plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	made := plan{together: map[string][]assignment{}}
	had := map[*fault]bool{}
	budget := time.Duration(float64(duration) * aloneShare)
	made.spell = duration
	for b := newBag(rng, faults, nil); len(made.alone) < aloneRounds*len(faults); {
		f := b.draw()
		if budget -= f.lasts(p) + f.calm(p); budget < 0 && len(made.alone) > 0 {
			break
		}
		made.spell -= f.lasts(p) + f.calm(p)
		had[f] = true
		made.alone = append(made.alone, assign(rng, f, anyPlace(rng, f, places)))
	}
	for _, l := range lanes(places) {
		kind := laneOf(l)
		fit := slices.DeleteFunc(slices.Clone(faults), func(f *fault) bool { return f.lane != kind })
		if len(fit) == 0 {
			continue
		}
		left := made.spell
		for b := newBag(rng, fit, had); ; {
			a := assign(rng, b.draw(), l)
			if left -= a.pause + a.fault.lasts(p); left < 0 {
				break
			}
			made.together[l] = append(made.together[l], a)
		}
	}
	return made
}

func assign(rng *rand.Rand, f *fault, lane string) assignment {
	return assignment{f, lane, 50*time.Millisecond + time.Duration(rng.Int64N(int64(longestPause))), rng.Uint64()}
}

// kinds are the faults of a plan.
func (p plan) kinds() map[string]int {
	n := map[string]int{}
	for _, a := range p.alone {
		n[a.fault.name]++
	}
	for _, all := range p.together {
		for _, a := range all {
			n[a.fault.name]++
		}
	}
	return n
}

func lanes(places []string) []string {
	return append(slices.Clone(places), string(onRedis), string(onPostgres), string(onProducer))
}

func laneOf(name string) lane {
	if l := lane(name); slices.Contains([]lane{onRedis, onPostgres, onProducer}, l) {
		return l
	}
	return onWorker
}

func anyPlace(rng *rand.Rand, f *fault, places []string) string {
	if f.lane != onWorker || len(places) == 0 {
		return string(f.lane)
	}
	return places[rng.IntN(len(places))]
}

// bag yields all faults in some order, then all in another.
type bag struct {
	rng  *rand.Rand
	all  []*fault
	left []*fault
}

// newBag has those that were had come last in the first round.
func newBag(rng *rand.Rand, faults []*fault, had map[*fault]bool) *bag {
	b := &bag{rng: rng, all: faults}
	b.fill()
	slices.SortStableFunc(b.left, func(x, y *fault) int {
		switch {
		case had[x] == had[y]:
			return 0
		case had[x]:
			return 1
		}
		return -1
	})
	return b
}

func (b *bag) fill() {
	b.left = slices.Clone(b.all)
	b.rng.Shuffle(len(b.left), func(i, j int) { b.left[i], b.left[j] = b.left[j], b.left[i] })
}

func (b *bag) draw() *fault {
	if len(b.left) == 0 {
		b.fill()
	}
	f := b.left[0]
	b.left = b.left[1:]
	return f
}

// choose reads a list of faults: "all", names, groups, and what begins with "!" is left
// out again. A list that begins with "!" begins with all.
func choose(list string, known []*fault) ([]*fault, error) {
	picked := map[*fault]bool{}
	for i, word := range strings.Split(list, ",") {
		name, out := strings.CutPrefix(strings.TrimSpace(word), "!")
		hits := 0
		for _, f := range known {
			if i == 0 && out {
				picked[f] = true
			}
			if name == "all" || name == f.name || name == string(f.lane) || name == "forgetful" && f.forgets {
				hits++
				picked[f] = !out
			}
		}
		if hits == 0 {
			return nil, fmt.Errorf("there is no fault %q", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(known), func(f *fault) bool { return !picked[f] }), nil
}

// named reports whether a list asks for a fault that forgets, by its name or its group's.
func named(f *fault, list string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(word string) bool {
		return slices.Contains([]string{f.name, "forgetful"}, strings.TrimSpace(word))
	})
}
