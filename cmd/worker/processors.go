package main

import (
	"context"
	"runtime"
	"syscall"
	"time"
)

// processors keeps the process at as many processors as it has use for. Threads that have
// nothing to do wake each other, and take from the servers beside them, and from the orders,
// what time they waste.
type processors struct {
	most int // that it may use
	now  int
	used time.Duration // of processor time, since the process began
}

const (
	// weighEvery is the pause between two looks at what the process has used.
	weighEvery = time.Second

	// Above the one share of their time processors are too few; below the other half of them
	// would do. Between the two lies what twice as many waste, or it would go to and fro.
	busyShare = 0.6
	idleShare = 0.4
)

// startProcessors begins with one.
func startProcessors() *processors {
	p := &processors{most: runtime.GOMAXPROCS(0), now: 1}
	runtime.GOMAXPROCS(p.now)
	return p
}

// watch adapts the processors until ctx is done.
func (p *processors) watch(ctx context.Context) {
	tick := time.NewTicker(weighEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			p.adapt(processorTime(), now.Sub(last))
			last = now
		}
	}
}

// adapt is told what the process has used so far, and how long ago the last time was.
func (p *processors) adapt(used, in time.Duration) {
	share := float64(used-p.used) / float64(max(in, time.Millisecond))
	p.used = used
	if next := p.next(share); next != p.now {
		p.now = next
		runtime.GOMAXPROCS(next)
	}
}

// next is how many processors there should be, of which the process has used that many.
func (p *processors) next(used float64) int {
	half := (p.now + 1) / 2
	switch {
	case used > busyShare*float64(p.now):
		return min(2*p.now, p.most)
	case used < idleShare*float64(half):
		return half
	}
	return p.now
}

// processorTime is what the process has used, 0 where that is not known.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
