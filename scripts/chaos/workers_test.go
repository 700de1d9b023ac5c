package main

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// corpse is a worker whose life ended with that exit code.
type corpse struct {
	worker
	code int
}

func (c corpse) ExitCode() int { return c.code }

func (c corpse) Ended() <-chan struct{} {
	ended := make(chan struct{})
	close(ended)
	return ended
}

// Only a crash point kills by a signal: a panic and a failed start prove no fault.
func TestDies(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{-1: true, 0: false, 1: false, 2: false} {
		i := &injection{worker: corpse{code: code}}
		if got := i.dies(t.Context(), time.Minute); got != want {
			t.Errorf("a life that ends with the exit code %d is a death: %v, want %v", code, got, want)
		}
	}
}

// puppet is a worker that notes the crash points of its lives, and does not start at one
// of them.
type puppet struct {
	corpse
	points []string
	fails  string
}

func (p *puppet) Name() string { return "worker" }

func (p *puppet) Start(crashPoint string) error {
	p.points = append(p.points, crashPoint)
	if crashPoint == p.fails {
		return errors.New("it does not start")
	}
	return nil
}

// troupe is an environment of puppets.
type troupe struct {
	given
	all []worker
}

func (t troupe) Workers() []worker { return t.all }

// A worker that dies when it reaps is no worker for the faults to come.
func TestCrashReaping_leavesNoneBehind(t *testing.T) {
	t.Parallel()
	all := []*puppet{{}, {fails: "reaping"}, {fails: "reaping"}} // whoever the victim is, one does not start
	i := &injection{nemesis: &nemesis{env: troupe{all: []worker{all[0], all[1], all[2]}}}, rng: rand.New(rand.NewPCG(1, 1))}
	if _, err := crashReaping(t.Context(), i); err == nil {
		t.Fatal("nobody hears of a worker that does not start")
	}
	for _, p := range all {
		if len(p.points) > 0 && p.points[len(p.points)-1] != "" {
			t.Errorf("the builds of a place are %q: the last one crashes", p.points)
		}
	}
}
