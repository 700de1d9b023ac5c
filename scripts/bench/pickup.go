package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
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

	// Between these the 99th percentile of the plain loop lies, as far as its orders can tell.
	PlainP99Low  float64 `json:"plain_p99_low_ms"`
	PlainP99High float64 `json:"plain_p99_high_ms"`

	// Peers are measured one after the other, with fewer orders farther apart: most poll.
	Peers []peerPickup `json:"peers_to_fulfilment,omitempty"`
}

type peerPickup struct {
	System string `json:"system"`
	Orders int    `json:"orders"`
	waited
}

func (b *bench) measurePickup(ctx context.Context) error {
	p, err := b.pickUpInTurns(ctx)
	if err != nil {
		return err
	}
	b.report.Pickup = p
	p.print()
	if !b.full {
		return nil
	}
	for _, system := range []string{"rmq", "rmq-fast", "asynq", "work", "river", "river-fast"} {
		peer, err := b.pickUpByPeer(ctx, system)
		if err != nil {
			return fmt.Errorf("%s: %w", system, err)
		}
		p.Peers = append(p.Peers, peer)
		say("  %s, the same, %d orders: %v", system, peer.Orders, peer.waited)
	}
	return nil
}

func (p *pickup) print() {
	say("\npickup: %d orders each for the worker and the plain loop, in turns, some 8 ms apart; without work", p.Orders)
	say("  the worker, from LPUSH to the log line \"Processing order N\", before which the claim is committed: %v", p.Logged)
	say("  the worker, from LPUSH to the beginning of the transaction that fulfils it: %v", p.Worker)
	say("  the plain loop, the same: %v", p.Plain)
}

// pickUpInTurns lets the worker and the plain loop wait beside each other, and sends an
// order to the one and to the other in turns, so that whatever else the machine does meets
// both.
func (b *bench) pickUpInTurns(ctx context.Context) (*pickup, error) {
	p := &pickup{Orders: 600}
	if b.full {
		p.Orders = 5000
	}
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	c := cell{System: "worker", InHand: idleInHand}
	w, err := b.openWorkers(ctx, c, "worker")
	if err != nil {
		return nil, err
	}
	stop := sync.OnceFunc(w.stop)
	defer stop()
	stopPlain, plainQueue, err := b.openEmpty(ctx, cell{System: "plain", Store: "plain", InHand: idleInHand})
	if err != nil {
		return nil, err
	}
	defer stopPlain()
	queue := c.queueName()
	sent, err := b.sendInTurns(ctx, p.Orders, queue, plainQueue)
	if err != nil {
		return nil, err
	}
	worker, err := b.waitsUntilFulfilled(ctx, sent[queue])
	if err != nil {
		return nil, err
	}
	plain, err := b.waitsUntilFulfilled(ctx, sent[plainQueue])
	if err != nil {
		return nil, err
	}
	p.Worker, p.Plain = waitedFor(worker), waitedFor(plain)
	low, high := p99Between(plain)
	p.PlainP99Low, p.PlainP99High = ms(low), ms(high)
	stop() // its log is whole
	p.Logged, err = b.waitedUntilBegun(sent[queue])
	return p, err
}

// sendInTurns queues n orders in each queue, at moments that have nothing to do with the
// systems' own turns, and returns when each was sent once all are fulfilled.
func (b *bench) sendInTurns(ctx context.Context, n int, queues ...string) (sent map[string]map[int64]time.Time, err error) {
	ids, err := b.insert(ctx, n*len(queues))
	if err != nil {
		return nil, err
	}
	sent = map[string]map[int64]time.Time{}
	for _, queue := range queues {
		sent[queue] = map[int64]time.Time{}
	}
	for i, id := range ids {
		queue := queues[i%len(queues)]
		if !sleep(ctx, 4*time.Millisecond+rand.N(8*time.Millisecond)) {
			return nil, ctx.Err()
		}
		sent[queue][id] = time.Now()
		if err := b.rdb.LPush(ctx, queue, message(id)).Err(); err != nil {
			return nil, err
		}
	}
	return sent, b.awaitAll(ctx)
}

// pickUpByPeer lets a peer queue its orders itself, now and then.
func (b *bench) pickUpByPeer(ctx context.Context, system string) (p peerPickup, err error) {
	c := cell{System: system, Store: "plain", InHand: idleInHand, Orders: min(b.limit, 400)}
	first, err := b.prepare(ctx, c)
	if err != nil {
		return p, err
	}
	process, err := b.startPeer(ctx, c, b.here(), first, "-apart", "50ms")
	if err != nil {
		return p, err
	}
	defer process.kill()
	if err := process.begin(ctx); err != nil {
		return p, err
	}
	sent := map[int64]time.Time{}
	if err := process.hear(ctx, patience, func(said string) bool {
		var id, at int64
		if _, err := fmt.Sscanf(said, "sent %d %d", &id, &at); err == nil {
			sent[id] = time.Unix(0, at)
		}
		return len(sent) == c.Orders
	}); err != nil {
		return p, err
	}
	if err := b.awaitAll(ctx); err != nil {
		return p, err
	}
	waits, err := b.waitsUntilFulfilled(ctx, sent)
	return peerPickup{system, c.Orders, waitedFor(waits)}, err
}

// waitsUntilFulfilled are the waits from each order's time until its updated_at, which is
// the beginning of the transaction that fulfils it, by the same machine's clock.
func (b *bench) waitsUntilFulfilled(ctx context.Context, sent map[int64]time.Time) (waits []time.Duration, err error) {
	rows, err := b.db.Query(ctx, `SELECT id, updated_at FROM orders WHERE status = 'fulfilled'`)
	if err != nil {
		return nil, err
	}
	var id int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		if begin, ours := sent[id]; ours {
			waits = append(waits, at.Sub(begin))
		}
		return nil
	})
	return waits, err
}

// waitedUntilBegun are the waits until the lines of the worker's log that say that the work
// begins. The log is a file that nobody reads meanwhile: the plain loop has none.
func (b *bench) waitedUntilBegun(sent map[int64]time.Time) (waited, error) {
	log, err := os.Open(filepath.Join(b.rig.Dir(), "worker-1.log"))
	if err != nil {
		return waited{}, err
	}
	defer log.Close()
	var waits []time.Duration
	rig.Follow("worker-1", log, func(l rig.Line) {
		if begin, ours := sent[l.OrderID]; ours && l.Event() == rig.Processing {
			waits = append(waits, l.Time.Sub(begin))
		}
	})
	if len(waits) != len(sent) {
		return waited{}, fmt.Errorf("the log says of %d of %d orders that their work begins", len(waits), len(sent))
	}
	return waitedFor(waits), nil
}
