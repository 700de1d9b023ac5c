package main

import (
	"context"
	"errors"
	"fmt"
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

// running is a system that could begin.
type running struct {
	pids    []int
	release func(context.Context) error // lets it begin
	drained func(context.Context) error // waits until it has nothing left to do
	stop    func() error
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
func (b *bench) clock(ctx context.Context, c cell, first int64) (r run, err error) {
	r.cell = c
	s, err := b.open(ctx, c, first)
	if err != nil {
		return r, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, s.stop())
		}
	}()
	begin, err := b.postgresNow(ctx)
	if err != nil {
		return r, err
	}
	transactions, err := b.transactions(ctx)
	if err != nil {
		return r, err
	}
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
	stopped = true
	if err := errors.Join(s.stop(), b.alone(ctx)); err != nil {
		return r, err
	}
	ended, err := b.transactions(ctx)
	if err != nil {
		return r, err
	}
	fulfilled, err := b.rate(ctx, c, begin, after.at.Sub(before.at), &r)
	if err != nil {
		return r, err
	}
	r.cost = after.since(before, fulfilled)
	r.Transactions = float64(ended-transactions) / float64(fulfilled)
	return r, b.verify(ctx, c, fulfilled)
}

// rate fills in the rate of a run, and returns how many orders it has fulfilled.
func (b *bench) rate(ctx context.Context, c cell, begin time.Time, took time.Duration, r *run) (fulfilled int, err error) {
	if c.System == "redis-alone" { // no row tells
		r.Seconds, r.Rate = took.Seconds(), float64(c.Orders)/took.Seconds()
		return c.Orders, nil
	}
	var timed int
	err = b.db.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE updated_at > first), coalesce(extract(epoch FROM max(updated_at) - min(updated_at)), 0)
		FROM (SELECT updated_at, min(updated_at) OVER () AS first FROM orders WHERE status = 'fulfilled' AND updated_at >= $1) AS run`,
		begin).Scan(&fulfilled, &timed, &r.Seconds)
	if err == nil && (fulfilled == 0 || r.Seconds == 0) {
		err = fmt.Errorf("%d orders were fulfilled in %v s: no rate", fulfilled, r.Seconds)
	}
	r.Rate = float64(timed) / r.Seconds // those of the first commit took no time that was seen
	return fulfilled, err
}

// verify fails unless every order is fulfilled but for those that are behind, and Redis
// holds the messages of these and no others.
func (b *bench) verify(ctx context.Context, c cell, fulfilled int) error {
	var open, left int
	if c.System == "redis-alone" {
		return nil
	}
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
	if fulfilled < c.Orders || open != left || c.Behind == 0 && left > 0 {
		return fmt.Errorf("%d of %d orders are fulfilled, %d are not, %d messages are left", fulfilled, c.Orders, open, left)
	}
	return nil
}

func (b *bench) postgresNow(ctx context.Context) (now time.Time, err error) {
	err = b.db.QueryRow(ctx, `SELECT now()`).Scan(&now)
	return now, err
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
