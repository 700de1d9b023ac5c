package metrics

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// timing is a histogram whose bounds are those of [Histogram]. It is cheaper than one of
// Prometheus's, and can be read.
type timing struct {
	desc    *prometheus.Desc
	entries [bounds + 1]atomic.Uint64
	sum     atomic.Int64 // ns
}

func newTiming(r registry, name, help string) *timing {
	return kept(r, &timing{desc: prometheus.NewDesc(name, help, nil, nil)})
}

// observe counts a duration; one that the clocks make negative is none.
func (t *timing) observe(d time.Duration) {
	d = max(d, 0)
	k := bits.Len64(uint64(max(d-1, 0) / time.Millisecond))
	t.entries[min(k, bounds)].Add(1)
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
	buckets, count := map[float64]uint64{}, uint64(0)
	for k, n := range t.histogram() {
		if count += n; k < bounds {
			buckets[bound(k).Seconds()] = count
		}
	}
	ch <- prometheus.MustNewConstHistogram(t.desc, count, time.Duration(t.sum.Load()).Seconds(), buckets)
}
