package metrics

import "github.com/prometheus/client_golang/prometheus"

// registry makes metrics and keeps them.
type registry struct{ *prometheus.Registry }

func kept[C prometheus.Collector](r registry, c C) C {
	r.MustRegister(c)
	return c
}

func (r registry) gauge(name, help string) prometheus.Gauge {
	return kept(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

func (r registry) counter(name, help string) prometheus.Counter {
	return kept(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

// counters are a counter with one label, of which these values are there from the start.
func (r registry) counters(name, help, label string, values ...string) *prometheus.CounterVec {
	vec := kept(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label}))
	for _, value := range values {
		vec.WithLabelValues(value)
	}
	return vec
}

// sizes are how many of something went together.
func (r registry) sizes(name, help string, labels ...string) *prometheus.HistogramVec {
	return kept(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(1, 2, 10),
	}, labels))
}

// took is how long calls took.
func (r registry) took(name, help string, labels ...string) *prometheus.HistogramVec {
	return kept(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2},
	}, labels))
}

// ask has a function called at each scrape, which tells what it finds out then.
func (r registry) ask(f func(chan<- prometheus.Metric)) { r.MustRegister(asked(f)) }

type asked func(chan<- prometheus.Metric)

func (a asked) Collect(ch chan<- prometheus.Metric) { a(ch) }

// Describe says nothing: what there will be to tell is not known before.
func (a asked) Describe(chan<- *prometheus.Desc) {}

// described is what a function that is asked tells about.
type described struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

func describe(kind prometheus.ValueType, name, help string, labels ...string) described {
	return described{prometheus.NewDesc(name, help, labels, nil), kind}
}

func (d described) tell(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d.Desc, d.kind, value, labels...)
}
