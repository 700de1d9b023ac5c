// Package metrics counts and measures what a worker process does, and shows it in the form
// that Prometheus reads.
//
// # What callers may rely on
//
//   - A nil [*Metrics] counts nothing: whoever needs no figures passes none.
//   - What is counted for each order costs a few atomic additions: no lock, no memory, no
//     word with a server.
//   - Labels come from short lists; no order, message or error text is ever one. What may
//     have to wake somebody is there from the start, at zero, so that its first time shows
//     as a rise.
//   - A scrape is answered whatever ails the servers: what could not be asked is left out,
//     and a gauge says so.
//   - A [Tally] reads the same in every process of every version that knows its form.
//
// # What this package never does
//
//   - It asks no server for anything.
//   - It never holds a producer's time against this machine's clock: it goes by Redis's,
//     which [Metrics.Renewed] tells it.
package metrics

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is every metric of a worker process. Its methods may be called by any goroutine.
type Metrics struct {
	registry registry
	orders
	rescues
	calls
	pulse
	pools *sync.Map
}

// Worker is what does not change while the process runs.
type Worker struct {
	Version string
	Slots   int           // orders worked on at once, at most
	Lease   time.Duration // a worker silent for so long is presumed dead
}

// New returns the metrics of a worker.
func New(w Worker) *Metrics {
	r := registry{prometheus.NewRegistry()}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.gauge("fulfillment_slots", "Orders that this worker works on at once, at most: WORKER_CONCURRENCY.").Set(float64(w.Slots))
	r.MustRegister(buildInfo(w.Version))
	return &Metrics{registry: r, orders: newOrders(r), rescues: newRescues(r), calls: newCalls(r), pulse: newPulse(r, w.Lease), pools: newPools(r)}
}

func buildInfo(version string) prometheus.Collector {
	revision := "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "fulfillment_build_info",
		Help:        "Always 1; the labels say which build runs: look here whether a roll-out is complete.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
