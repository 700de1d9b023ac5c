package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// timing is a [Histogram] that is filled, and shown as one of Prometheus's. It is cheaper
// than those are, and can be read.
type timing struct {
	desc    *prometheus.Desc
	entries [Buckets]atomic.Uint64
	sum     atomic.Int64 // ns
}

func newTiming(r registry, name, help string) *timing {
	return kept(r, &timing{desc: prometheus.NewDesc(name, help, nil, nil)})
}

// observe counts a duration; one that the clocks make negative is none.
func (t *timing) observe(d time.Duration) {
	d = max(d, 0)
	t.entries[bucket(d)].Add(1)
	t.sum.Add(int64(d))
}

func (t *timing) histogram() Histogram {
	h := make(Histogram, len(t.entries))
	for k := range t.entries {
		h[k] = t.entries[k].Load()
	}
	return h
}

func (t *timing) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

func (t *timing) Collect(ch chan<- prometheus.Metric) {
	upTo, count, bound := map[float64]uint64{}, uint64(0), Shortest
	for _, n := range t.histogram() {
		count += n
		upTo[bound.Seconds()] = count
		bound *= 2
	}
	delete(upTo, (bound / 2).Seconds()) // the last has no bound
	ch <- prometheus.MustNewConstHistogram(t.desc, count, time.Duration(t.sum.Load()).Seconds(), upTo)
}
