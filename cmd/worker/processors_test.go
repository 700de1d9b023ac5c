package main

import (
	"runtime"
	"testing"
	"time"
)

func TestProcessors_next(t *testing.T) {
	tests := []struct {
		now, most int
		used      float64
		want      int
	}{
		{1, 8, 0, 1},
		{1, 8, 0.6, 1},
		{1, 8, 0.7, 2},
		{2, 8, 0.7, 2}, // as much as made it two
		{2, 8, 0.5, 2}, // it may be what two waste
		{2, 8, 0.3, 1},
		{2, 8, 1.5, 4},
		{2, 3, 1.5, 3},
		{3, 3, 3, 3},
		{3, 3, 0.7, 2},
		{1, 1, 1, 1},
	}
	for _, tt := range tests {
		p := &processors{now: tt.now, most: tt.most}
		if got := p.next(tt.used); got != tt.want {
			t.Errorf("of %d processors, %d at most, it used %v: %d next, want %d", tt.now, tt.most, tt.used, got, tt.want)
		}
	}
}

// Whatever it uses, it comes to rest, and with no fewer than it has use for.
func TestProcessors_comeToRest(t *testing.T) {
	const most = 64
	for used := 0.0; used < most; used += 0.05 {
		for begin := 1; begin <= most; begin++ {
			p := &processors{now: begin, most: most}
			for range 10 {
				p.now = p.next(used)
			}
			if p.next(used) != p.now {
				t.Errorf("from %d, with %v in use, it goes to and fro at %d", begin, used, p.now)
			}
			if p.now < most && float64(p.now)*busyShare < used {
				t.Errorf("from %d, with %v in use, it comes to no more than %d", begin, used, p.now)
			}
		}
	}
}

func TestProcessors_adaptToWhatIsUsed(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	p := &processors{now: 1, most: 2}
	p.adapt(time.Second, time.Second)
	if got := runtime.GOMAXPROCS(0); got != 2 {
		t.Errorf("a busy process has %d processors, want 2", got)
	}
	p.adapt(time.Second+time.Millisecond, time.Second)
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("an idle process has %d processors, want 1", got)
	}
	if used := processorTime(); used <= 0 {
		t.Errorf("this process has used %v", used)
	}
}
