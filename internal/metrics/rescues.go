package metrics

import "github.com/prometheus/client_golang/prometheus"

// rescues are the metrics of what saves messages and orders when something went wrong.
type rescues struct {
	reaped, givenBack, deaths prometheus.Counter
	adopted, released         prometheus.Counter
	promoted, reconciled      prometheus.Counter
	takeovers, fenced         prometheus.Counter
	leasesLost                prometheus.Counter
}

func newRescues(r registry) rescues {
	strays := r.counters("fulfillment_strays_total",
		"Messages found in the own list that no claim was told of: replies of Redis were lost. They were taken in hand, or released to the queue where no slot was free.",
		"fate")
	return rescues{
		reaped: r.counter("fulfillment_instances_reaped_total",
			"Workers whose lease was over and whose messages this worker gave back: look why they died."),
		givenBack: r.counter("fulfillment_reaped_messages_total",
			"Messages of dead workers that this worker gave back to the queue."),
		deaths: r.counter("fulfillment_reaped_deliveries_total",
			"Deliveries charged because a worker died that had the order in hand, by this one when it took the order over: where few orders bring down one worker after the other, it is they."),
		adopted:  strays.WithLabelValues("adopted"),
		released: strays.WithLabelValues("released"),
		promoted: r.counter("fulfillment_messages_promoted_total",
			"Delayed messages put back into the queue because their time had come."),
		reconciled: r.counter("fulfillment_orders_reconciled_total",
			"Orders queued again by this worker because Redis knew nothing of them: Redis lost messages, or a producer died before its LPUSH."),
		takeovers: r.counter("fulfillment_takeovers_total",
			"Orders taken over in the middle of their processing from a former holder that had died or failed."),
		fenced: r.counter("fulfillment_finishes_fenced_total",
			"Finishes refused because somebody else had taken the order over: this worker was presumed dead and was not."),
		leasesLost: r.counter("fulfillment_leases_lost_total",
			"Times that this worker found itself presumed dead: it was frozen, starved of processor time or cut off for longer than its lease."),
	}
}

// Reaped counts a dead worker whose messages were given back.
func (m *Metrics) Reaped(givenBack int) {
	if m != nil {
		m.reaped.Inc()
		m.givenBack.Add(float64(givenBack))
	}
}

// DeathCharged counts a delivery that was charged because a worker died.
func (m *Metrics) DeathCharged() {
	if m != nil {
		m.deaths.Inc()
	}
}

// Adopted counts a stray that was taken in hand.
func (m *Metrics) Adopted() {
	if m != nil {
		m.adopted.Inc()
	}
}

// Released counts a stray that went back to the queue.
func (m *Metrics) Released() {
	if m != nil {
		m.released.Inc()
	}
}

// Promoted counts delayed messages that were queued.
func (m *Metrics) Promoted(messages int) {
	if m != nil {
		m.promoted.Add(float64(messages))
	}
}

// Reconciled counts orders that were queued again.
func (m *Metrics) Reconciled(orders int) {
	if m != nil {
		m.reconciled.Add(float64(orders))
	}
}

// TookOver counts an order that was taken over from a former holder.
func (m *Metrics) TookOver() {
	if m != nil {
		m.takeovers.Inc()
	}
}

// Fenced counts a finish that came too late.
func (m *Metrics) Fenced() {
	if m != nil {
		m.fenced.Inc()
	}
}

// LeaseLost counts a session that was presumed dead.
func (m *Metrics) LeaseLost() {
	if m != nil {
		m.leasesLost.Inc()
	}
}
