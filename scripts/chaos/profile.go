package main

import (
	"fmt"
	"time"
)

// profile is the settings of the workers, and what follows from them.
type profile struct {
	Name           string        `json:"name"`
	Workers        int           `json:"workers"`
	Concurrency    int           `json:"concurrency"`
	Lease          time.Duration `json:"lease_ns"`
	ReconcileEvery time.Duration `json:"reconcile_interval_ns"`
	ReconcileAfter time.Duration `json:"reconcile_after_ns"`
	Shutdown       time.Duration `json:"shutdown_timeout_ns"`
	OrderTimeout   time.Duration `json:"order_timeout_ns"`

	rest []string // settings from which nothing follows
	rate int      // orders a second, where nobody says another
}

// torture has short leases and little work, so that much can go wrong in little time.
var torture = profile{
	Name: "torture", Workers: 4, Concurrency: 6, Lease: time.Second,
	ReconcileEvery: time.Second, ReconcileAfter: 3 * time.Second,
	Shutdown: 2 * time.Second, OrderTimeout: 2 * time.Second,
	rest: []string{
		"PROCESSING_MIN=20ms", "PROCESSING_MAX=100ms", "RETRY_INITIAL=50ms", "RETRY_MAX=500ms", "MAX_DELIVERIES=1000",
	},
	rate: 120,
}

// crowd has hundreds of orders in hand, so that faults meet statements and scripts about
// many of them.
var crowd = profile{
	Name: "crowd", Workers: 3, Concurrency: 300, Lease: time.Second,
	ReconcileEvery: time.Second, ReconcileAfter: 3 * time.Second,
	Shutdown: 2 * time.Second, OrderTimeout: 4 * time.Second,
	rest: []string{
		"PROCESSING_MIN=500ms", "PROCESSING_MAX=2s", "RETRY_INITIAL=50ms", "RETRY_MAX=500ms", "MAX_DELIVERIES=1000",
	},
	rate: 400,
}

// defaults are the worker's own, but for how much it has in hand.
var defaults = profile{
	Name: "defaults", Workers: 6, Concurrency: 20, Lease: 5 * time.Second,
	ReconcileEvery: time.Minute, ReconcileAfter: 5 * time.Minute,
	Shutdown: 8 * time.Second, OrderTimeout: 30 * time.Second,
	rest: []string{"WORKER_CONCURRENCY=20"},
	rate: 120,
}

func (p profile) settings() []string {
	if p.Name == defaults.Name {
		return p.rest
	}
	return append([]string{
		fmt.Sprintf("WORKER_CONCURRENCY=%d", p.Concurrency),
		"LEASE_TTL=" + p.Lease.String(),
		"RECONCILE_INTERVAL=" + p.ReconcileEvery.String(),
		"RECONCILE_AFTER=" + p.ReconcileAfter.String(),
		"SHUTDOWN_TIMEOUT=" + p.Shutdown.String(),
		"ORDER_TIMEOUT=" + p.OrderTimeout.String(),
	}, p.rest...)
}

// The bounds that the contract's promises set for a recovery.

// takenOver is for the orders of a worker that is dead or cut off.
func (p profile) takenOver() time.Duration { return p.Lease + time.Second }

// back is for the workers, once a server is ready again.
func (p profile) back() time.Duration { return 3 * time.Second }

// reconciled is for orders that Redis has forgotten.
func (p profile) reconciled() time.Duration {
	return p.ReconcileAfter + p.ReconcileEvery + 2*time.Second
}

// frozen is how long something must be silent to be presumed dead for sure.
func (p profile) frozen() time.Duration { return 3 * p.Lease }

// settle is for how long an order must be quiet before its history is closed: a worker
// that was frozen, or that PostgreSQL gave no answer through several outages, may tell of
// it late.
func (p profile) settle() time.Duration { return 2*p.frozen() + 30*time.Second }
