package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var places = []string{"worker-1", "worker-2", "worker-3", "worker-4"}

// schedule is a plan as text.
func schedule(p plan) string {
	var b strings.Builder
	show := func(all []assignment) {
		for _, a := range all {
			fmt.Fprintln(&b, a.fault.name, a.lane, a.pause, a.seed)
		}
	}
	show(p.alone)
	for _, lane := range lanes(places) {
		show(p.together[lane])
	}
	return b.String()
}

func TestPlan_followsFromTheSeed(t *testing.T) {
	t.Parallel()
	a, again := newPlan(7, faults, places, torture, time.Minute), newPlan(7, faults, places, torture, time.Minute)
	if schedule(a) != schedule(again) {
		t.Errorf("one seed makes two plans:\n%s\n%s", schedule(a), schedule(again))
	}
	if other := newPlan(8, faults, places, torture, time.Minute); schedule(a) == schedule(other) {
		t.Error("two seeds make one plan")
	}
}

// Of a long run most is for everything at once.
func TestPlan_measuresEachFaultThreeTimes(t *testing.T) {
	t.Parallel()
	p := newPlan(7, faults, places, torture, time.Hour)
	times := map[string]int{}
	for _, a := range p.alone {
		times[a.fault.name]++
	}
	for _, f := range faults {
		if times[f.name] != 3 {
			t.Errorf("%s comes %d times alone, want 3", f.name, times[f.name])
		}
	}
	if p.spell < 40*time.Minute {
		t.Errorf("everything comes at once for %v of an hour", p.spell)
	}
}

func TestPlan_fitsItsTime(t *testing.T) {
	t.Parallel()
	for _, duration := range []time.Duration{time.Second, 30 * time.Second, 5 * time.Minute} {
		p := newPlan(7, faults, places, torture, duration)
		if len(p.alone) == 0 {
			t.Errorf("in %v no fault comes alone", duration)
		}
		var alone time.Duration
		for _, a := range p.alone[1:] { // the first comes however little time there is
			alone += a.fault.lasts(torture) + a.fault.calm(torture)
		}
		if alone > duration*6/10 {
			t.Errorf("in %v the first phase takes %v", duration, alone)
		}
		for lane, all := range p.together {
			var sum time.Duration
			for _, a := range all {
				sum += a.pause + a.fault.lasts(torture)
				if a.fault.lane != laneOf(lane) {
					t.Errorf("%s is in the lane %s", a.fault.name, lane)
				}
			}
			if sum > p.spell {
				t.Errorf("in %v the lane %s takes %v of %v", duration, lane, sum, p.spell)
			}
		}
	}
}

func TestPlan_drawsEachBeforeAnyTwice(t *testing.T) {
	t.Parallel()
	p := newPlan(7, faults, places, torture, 5*time.Minute)
	times := map[string]int{}
	for _, a := range p.alone {
		times[a.fault.name]++
	}
	least, most := len(p.alone), 0
	for _, f := range faults {
		least, most = min(least, times[f.name]), max(most, times[f.name])
	}
	if least == 0 || most > least+1 {
		t.Errorf("alone, one comes %d times, another %d times", least, most)
	}
}

// What the first phase had no time for comes first in the second.
func TestPlan_beginsWithWhatIsNew(t *testing.T) {
	t.Parallel()
	p := newPlan(7, faults, places, torture, 30*time.Second)
	had := map[*fault]bool{}
	for _, a := range p.alone {
		had[a.fault] = true
	}
	known := slices.DeleteFunc(slices.Clone(faults), func(f *fault) bool { return f.lane != onRedis || had[f] })
	for n, a := range p.together[string(onRedis)] {
		if n < len(known) && had[a.fault] {
			t.Errorf("%s comes again before every other has come", a.fault.name)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	known := []*fault{{name: "kill", lane: onWorker}, {name: "roll", lane: onWorker}, {name: "flush", lane: onRedis, forgets: true}}
	tests := []struct{ list, want string }{
		{"all", "kill roll flush"},
		{"kill", "kill"},
		{"flush, kill", "kill flush"},
		{"worker", "kill roll"},
		{"worker,!roll", "kill"},
		{"!kill", "roll flush"},
		{"!forgetful", "kill roll"},
		{"!forgetful,flush", "kill roll flush"},
	}
	for _, tt := range tests {
		found, err := choose(tt.list, known)
		var names []string
		for _, f := range found {
			names = append(names, f.name)
		}
		if got := strings.Join(names, " "); err != nil || got != tt.want {
			t.Errorf("%q chooses %q, %v, want %q", tt.list, got, err, tt.want)
		}
	}
	for _, list := range []string{"", "nonsense", "all,!nonsense"} {
		if found, err := choose(list, known); err == nil {
			t.Errorf("%q chooses %v", list, found)
		}
	}
}
