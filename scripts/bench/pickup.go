package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"fulfillment-worker/internal/rig"
)

// pickup is how long an order takes that finds a system with nothing else to do.
type pickup struct {
	Orders int    `json:"orders"` // of each system
	Logged waited `json:"worker_to_log_line"`
	Worker waited `json:"worker_to_fulfilment"`
	Plain  waited `json:"plain_to_fulfilment"`
}

// measurePickup lets the worker and the plain loop wait beside each other, and sends an
// order to the one and to the other in turns, so that whatever else the machine does meets
// both.
func (b *bench) measurePickup(ctx context.Context) error {
	n := 600
	if b.full {
		n = 5000
	}
	if err := b.clear(ctx); err != nil {
		return err
	}
	const inHand = 10 // the worker's default
	lines := make(chan rig.Line, 10*n)
	w, _, err := b.start(ctx, "pickup", "bench_pickup", lines, noWork...)
	if err != nil {
		return err
	}
	defer w.Stop()
	stop, plainQueue, err := b.openEmpty(ctx, cell{System: "plain", Store: "plain", InHand: inHand})
	if err != nil {
		return err
	}
	defer stop()
	ids, err := b.insert(ctx, 2*n)
	if err != nil {
		return err
	}
	sent := map[int64]time.Time{}
	for i, id := range ids {
		queue := []string{"bench_pickup", plainQueue}[i%2]
		// At moments that have nothing to do with the systems' own turns.
		if !sleep(ctx, 4*time.Millisecond+rand.N(8*time.Millisecond)) {
			return ctx.Err()
		}
		sent[id] = time.Now()
		if err := b.rdb.LPush(ctx, queue, message(id)).Err(); err != nil {
			return err
		}
	}
	if err := b.awaitAll(ctx); err != nil {
		return err
	}
	p := &pickup{Orders: n}
	if p.Worker, p.Plain, err = b.fulfilments(ctx, sent, ids[0]%2); err != nil {
		return err
	}
	if p.Logged, err = beginnings(ctx, lines, sent, n); err != nil {
		return err
	}
	b.report.Pickup = p
	p.print()
	return nil
}

func (p *pickup) print() {
	say("\npickup: %d orders each for the worker and the plain loop, in turns, some 8 ms apart; without work", p.Orders)
	say("  the worker, from LPUSH to the log line \"Processing order N\", before which the claim is committed: %v", p.Logged)
	say("  the worker, from LPUSH to the beginning of the transaction that fulfils it: %v", p.Worker)
	say("  the plain loop, the same: %v", p.Plain)
}

// fulfilments are the waits until updated_at, of the two systems.
func (b *bench) fulfilments(ctx context.Context, sent map[int64]time.Time, ofWorker int64) (worker, plain waited, err error) {
	rows, err := b.db.Query(ctx, `SELECT id, updated_at FROM orders`)
	if err != nil {
		return worker, plain, err
	}
	var id int64
	var at time.Time
	var waits [2][]time.Duration
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		waits[id%2] = append(waits[id%2], at.Sub(sent[id]))
		return nil
	})
	return waitedFor(waits[ofWorker]), waitedFor(waits[1-ofWorker]), err
}

// beginnings are the waits until n lines of a log that say that work begins.
func beginnings(ctx context.Context, lines <-chan rig.Line, sent map[int64]time.Time, n int) (waited, error) {
	var waits []time.Duration
	for range n {
		begun, err := await(ctx, lines, func(l rig.Line) bool { return l.Event() == rig.Processing })
		if err != nil {
			return waited{}, err
		}
		waits = append(waits, begun.Time.Sub(sent[begun.OrderID]))
	}
	return waitedFor(waits), nil
}
