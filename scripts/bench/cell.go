package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// cell is one system under one condition.
type cell struct {
	Section string `json:"section"`
	System  string `json:"system"`          // worker, or a name that scripts/bench/peers knows
	Store   string `json:"store,omitempty"` // of a peer: plain or group
	Log     string `json:"log_level,omitempty"`
	InHand  int    `json:"in_hand,omitempty"` // of each worker
	Orders  int    `json:"orders"`
	Workers int    `json:"workers,omitempty"`
	Watched bool   `json:"watched,omitempty"` // the worker serves HTTP, is scraped, and a page is open

	// What makes the work grow.
	Older   int `json:"older_rows,omitempty"`    // orders in the table that are fulfilled
	Behind  int `json:"queued_behind,omitempty"` // messages that stay in the queue
	Payload int `json:"payload_bytes,omitempty"` // of each message; 0 is as the Order API makes it

	runs int // how often in one benchmark
}

// String is how progress names a cell.
func (c cell) String() string {
	s := c.System
	if c.Store == "group" {
		s += " + group commit"
	}
	if c.Log != "" {
		s += ", LOG_LEVEL=" + c.Log
	}
	if c.Watched {
		s += ", scraped and with a page open"
	}
	if c.InHand > 0 {
		s += fmt.Sprintf(", %d in hand", c.InHand)
	}
	for _, grown := range []struct {
		n    int
		what string
	}{{c.Workers, "workers"}, {c.Older, "older rows"}, {c.Behind, "queued behind"}, {c.Payload, "bytes each"}} {
		if grown.n > 0 {
			s += fmt.Sprintf(", %d %s", grown.n, grown.what)
		}
	}
	return s
}

// same is the cell without what may differ between its runs.
func (c cell) same() cell {
	c.Orders, c.runs = 0, 0
	return c
}

// run is one measurement of a cell.
type run struct {
	cell
	Repetition int     `json:"repetition"`
	Seconds    float64 `json:"seconds"` // from the first fulfilled order to the last
	Rate       float64 `json:"orders_per_second"`
	Memory     float64 `json:"memory_mb"` // resident, of the system's processes when it is done
	cost
}

// failed is a run of a peer that gave no figures, and why.
type failed struct {
	cell
	Repetition int    `json:"repetition"`
	Error      string `json:"error"`
}

func (f failed) String() string {
	why, _, _ := strings.Cut(strings.TrimPrefix(f.Error, f.cell.String()+": "), "\n")
	return fmt.Sprintf("%v, repetition %d: %s", f.cell, f.Repetition, why)
}

// running is a system that could begin.
type running struct {
	pids    []int
	release func(context.Context) error // lets it begin
	drained func(context.Context) error // waits until it has nothing left to do
	stop    func()
}

// measure runs one cell, from an empty table and an empty Redis.
func (b *bench) measure(ctx context.Context, c cell) (run, error) {
	first, err := b.prepare(ctx, c)
	if err != nil {
		return run{}, err
	}
	r, err := b.clock(ctx, c, first)
	if err != nil {
		return r, fmt.Errorf("%v: %w", c, err)
	}
	return r, nil
}

// prepare makes the rows. They are vacuumed and on disk before any clock runs: else some
// cells would pay for that, and others not.
func (b *bench) prepare(ctx context.Context, c cell) (first int64, err error) {
	if err := b.clear(ctx); err != nil {
		return 0, err
	}
	ids, err := b.insert(ctx, c.Orders)
	if err != nil {
		return 0, err
	}
	return ids[0], b.settle(ctx)
}

// clock starts the system, lets it fulfil the orders, and takes the rate from the rows:
// no start-up is in it, neither the worker's nor a peer's.
func (b *bench) clock(ctx context.Context, c cell, first int64) (run, error) {
	r := run{cell: c}
	s, err := b.open(ctx, c, first)
	if err != nil {
		return r, err
	}
	stop := sync.OnceFunc(s.stop)
	defer stop()
	before, err := b.used(ctx, s.pids...)
	if err != nil {
		return r, err
	}
	if err := s.release(ctx); err != nil {
		return r, err
	}
	if err := s.drained(ctx); err != nil {
		return r, err
	}
	after, err := b.used(ctx, s.pids...)
	if err != nil {
		return r, err
	}
	for _, pid := range s.pids {
		r.Memory += memory(pid)
	}
	stop()
	if err := b.alone(ctx); err != nil {
		return r, err
	}
	if after.transactions, err = b.transactions(ctx); err != nil { // all are told by now
		return r, err
	}
	err = b.sumUp(ctx, &r, before, after)
	return r, err
}

// sumUp fills in a run's figures. It fails unless every order is fulfilled.
func (b *bench) sumUp(ctx context.Context, r *run, before, after usage) error {
	if r.System == "redis-alone" { // no row tells
		r.Seconds = after.at.Sub(before.at).Seconds()
		r.Rate, r.cost = float64(r.Orders)/r.Seconds, after.since(before, r.Orders)
		return nil
	}
	fulfilled, err := b.rate(ctx, r, before.at)
	if err != nil {
		return err
	}
	r.cost = after.since(before, fulfilled)
	return b.verify(ctx, r.cell, fulfilled)
}

// rate fills in a run's rate, and returns how many orders it has fulfilled.
func (b *bench) rate(ctx context.Context, r *run, begin time.Time) (fulfilled int, err error) {
	var timed int
	err = b.db.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE updated_at > first), coalesce(extract(epoch FROM max(updated_at) - min(updated_at)), 0)
		FROM (SELECT updated_at, min(updated_at) OVER () AS first FROM orders WHERE status = 'fulfilled' AND updated_at >= $1) AS run`,
		begin).Scan(&fulfilled, &timed, &r.Seconds)
	if err == nil && r.Seconds == 0 {
		err = fmt.Errorf("%d orders were fulfilled at one moment: no rate", fulfilled)
	}
	r.Rate = float64(timed) / r.Seconds // those of the first moment took no time that was seen
	return fulfilled, err
}

// verify fails unless every order is fulfilled, but for those that stay behind, of which
// each has its message in Redis.
func (b *bench) verify(ctx context.Context, c cell, fulfilled int) error {
	var open, left int
	if err := b.db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE status <> 'fulfilled'`).Scan(&open); err != nil {
		return err
	}
	for _, key := range leftovers(c) {
		n, err := b.length(ctx, key)
		if err != nil {
			return err
		}
		left += n
	}
	if open != left || c.Behind == 0 && fulfilled != c.Orders {
		return fmt.Errorf("%d of %d orders are fulfilled, %d are not, %d messages are left", fulfilled, c.Orders, open, left)
	}
	return nil
}

// settle leaves PostgreSQL nothing to catch up with.
func (b *bench) settle(ctx context.Context) error {
	for _, sql := range []string{"VACUUM ANALYZE orders", "CHECKPOINT"} {
		if _, err := b.db.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}
