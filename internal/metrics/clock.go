package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// clock knows how far Redis's clock is ahead of this machine's, as far as a round trip can
// tell: where both may be the same, they are.
type clock struct{ ahead atomic.Int64 } // ns

func newClock(r registry) *clock {
	c := &clock{}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fulfillment_clock_offset_seconds",
		Help: "How far Redis's clock is ahead of this machine's, at least. The worker goes by Redis's; logs and other programs do not.",
	}, func() float64 { return time.Duration(c.ahead.Load()).Seconds() }))
	return c
}

// read takes note of what Redis's clock said, in whole milliseconds, between two moments.
func (c *clock) read(asked time.Time, said time.Time, answered time.Time) {
	ahead := max(0, said.Sub(answered)) + min(0, said.Add(time.Millisecond).Sub(asked))
	c.ahead.Store(int64(ahead))
}

// between is how much time went by from a moment on a server's clock to one on this
// machine's.
func (c *clock) between(theirs, ours time.Time) time.Duration {
	return ours.Sub(theirs) + time.Duration(c.ahead.Load())
}
