package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Loop is one of the loops that a worker lives by.
type Loop string

// The loops.
const (
	Claim     Loop = "claim"     // claims messages and audits the own list
	Heartbeat Loop = "heartbeat" // renews the lease
	Reap      Loop = "reap"      // gives back what dead workers held
	Promote   Loop = "promote"   // queues what is due
	Watch     Loop = "watch"     // looks whether PostgreSQL is of use
	Reconcile Loop = "reconcile" // looks for what Redis has lost
)

// Server is one of the servers that a worker depends on.
type Server string

// The servers.
const (
	RedisServer    Server = "redis"
	PostgresServer Server = "postgres"
)

// pulse are the metrics by which one sees that the worker lives and can work.
type pulse struct {
	begun   time.Time
	turns   map[Loop]*moment
	renewed *moment
	servers map[Server]*server
}

// moment is when something happened last, in ns since the process began; 0 is never.
type moment = atomic.Int64

func newPulse(r registry, lease time.Duration) pulse {
	p := pulse{begun: time.Now(), turns: map[Loop]*moment{}, renewed: &moment{}, servers: newServers(r)}
	for _, loop := range []Loop{Claim, Heartbeat, Reap, Promote, Watch, Reconcile} {
		p.turns[loop] = &moment{}
	}
	r.gauge("fulfillment_lease_ttl_seconds",
		"A worker that has not renewed its lease for so long is presumed dead: LEASE_TTL.").Set(lease.Seconds())
	turned := describe(prometheus.GaugeValue, "fulfillment_loop_last_turn_age_seconds",
		"How long ago a loop turned last, whether it got anywhere or not; by the process's own clock, as no other's is right for all. A loop that does not turn hangs.", "loop")
	age := describe(prometheus.GaugeValue, "fulfillment_lease_age_seconds",
		"How long ago this worker last renewed its lease: near fulfillment_lease_ttl_seconds it is about to be presumed dead.")
	r.ask(func(ch chan<- prometheus.Metric) {
		for loop, at := range p.turns {
			p.tellAge(ch, turned, at, string(loop))
		}
		p.tellAge(ch, age, p.renewed)
	})
	return p
}

func (p pulse) tellAge(ch chan<- prometheus.Metric, d described, at *moment, labels ...string) {
	if ns := at.Load(); ns != 0 {
		d.tell(ch, (time.Since(p.begun) - time.Duration(ns)).Seconds(), labels...)
	}
}

// Turned notes that a loop turns.
func (m *Metrics) Turned(l Loop) {
	if m != nil {
		m.turns[l].Store(int64(time.Since(m.begun)))
	}
}

// Renewed notes that the lease was renewed by a call that was made at asked, and what Redis's
// clock said then.
func (m *Metrics) Renewed(asked, clock time.Time) {
	if m != nil {
		m.renewed.Store(int64(asked.Sub(m.begun)))
		m.clock.read(asked, clock, time.Now())
	}
}

// Found notes whether a server was found to be of use just now; an error says that it was not.
// Outages are counted by one observer for each server.
func (m *Metrics) Found(s Server, err error) {
	if m != nil {
		m.servers[s].found(err)
	}
}

// server is whether a server is of use.
type server struct {
	name             string
	up               *prometheus.GaugeVec // tells nothing before it was looked at
	outages, seconds prometheus.Counter

	mu   sync.Mutex
	away time.Time // when it was last found to be of no use; zero: it is of use
}

func newServers(r registry) map[Server]*server {
	up := kept(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fulfillment_server_up", Help: "1 while the server is of use to this worker: it answers, and carries out changes.",
	}, []string{"server"}))
	outages := r.counters("fulfillment_server_outages_total", "Times that the server was found to be of no use. Messages wait meanwhile, and none is charged.", "server")
	seconds := r.counters("fulfillment_server_outage_seconds_total", "How long it was of no use, all in all.", "server")
	servers := map[Server]*server{}
	for _, s := range []Server{RedisServer, PostgresServer} {
		name := string(s)
		servers[s] = &server{name: name, up: up, outages: outages.WithLabelValues(name), seconds: seconds.WithLabelValues(name)}
	}
	return servers
}

func (s *server) found(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away.IsZero() {
		s.seconds.Add(time.Since(s.away).Seconds())
	}
	if err == nil {
		s.away = time.Time{}
		s.up.WithLabelValues(s.name).Set(1)
		return
	}
	if s.away.IsZero() {
		s.outages.Inc()
	}
	s.away = time.Now()
	s.up.WithLabelValues(s.name).Set(0)
}
