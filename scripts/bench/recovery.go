package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"fulfillment-worker/internal/servers"
)

const (
	recoveryCap    = 150 * time.Second // longer is not waited for
	recoveryTrials = 2                 // of each peer
	heldBefore     = 2 * time.Second   // the order, by the process that is killed
)

// recovery is how long the order of a peer that was killed waits for another, which is
// started at once.
type recovery struct {
	System  string  `json:"system"`
	Seconds float64 `json:"seconds"` // from the kill to the fulfilled order; 0 is never, as far as was waited
	Cap     float64 `json:"cap_seconds"`
}

// trial is one kill on servers of its own.
type trial struct {
	*bench
	recovery
	on where
	db *pgxpool.Pool
}

// measureRecovery runs all trials beside each other, for they do nothing but wait.
func (b *bench) measureRecovery(ctx context.Context) error {
	if !b.full {
		say("\nrecovery of the peers: only with --full, for it takes minutes")
		return nil
	}
	say("\nrecovery: kill -9 of a peer at its default settings with one order in its hand, another starts at once")
	var trials []*trial
	for _, system := range []string{"rmq", "asynq", "work", "river"} {
		for n := range recoveryTrials {
			t := &trial{bench: b, recovery: recovery{System: system, Cap: recoveryCap.Seconds()}}
			trials = append(trials, t)
			stop, err := t.open(ctx, fmt.Sprintf("recovery_%s_%d", system, n+1))
			if err != nil {
				return fmt.Errorf("%s: %w", system, err)
			}
			defer stop()
		}
	}
	group, together := errgroup.WithContext(ctx)
	for _, t := range trials {
		group.Go(func() error { return t.run(together) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, t := range trials {
		b.report.Recovery = append(b.report.Recovery, t.recovery)
		say("  %v", t.recovery)
	}
	return nil
}

func (r recovery) String() string {
	if r.Seconds == 0 {
		return fmt.Sprintf("%s: not within %.0f s", r.System, r.Cap)
	}
	return fmt.Sprintf("%s: %.1f s", r.System, r.Seconds)
}

// open starts a Redis and makes a database with one order.
func (t *trial) open(ctx context.Context, name string) (stop func(), err error) {
	server, err := servers.StartRedis(filepath.Join(t.rig.Dir(), name))
	if err != nil {
		return nil, err
	}
	if _, err = t.bench.db.Exec(ctx, "CREATE DATABASE "+name); err == nil {
		t.on = where{server.Addr(), t.rig.Postgres.URL(name)}
		t.db, err = pgxpool.New(ctx, t.on.database+"&pool_max_conns=1")
	}
	if err == nil {
		_, err = t.db.Exec(ctx, servers.OrdersSchema+"INSERT INTO orders (product_id, quantity) VALUES (1, 1)")
	}
	if err != nil {
		server.Stop()
		return nil, err
	}
	return func() {
		t.db.Close()
		server.Stop()
	}, nil
}

// run kills the one and starts the other.
func (t *trial) run(ctx context.Context) error {
	victim, err := t.start(ctx, 1, "-stuck")
	if err != nil {
		return err
	}
	defer victim.kill()
	if err := victim.await(ctx, "begun", patience); err != nil {
		return err
	}
	if !sleep(ctx, heldBefore) {
		return ctx.Err()
	}
	victim.kill()
	killed := time.Now()
	heir, err := t.start(ctx, 0)
	if err != nil {
		return err
	}
	defer heir.kill()
	for time.Since(killed) < recoveryCap {
		var status string
		if err := t.db.QueryRow(ctx, `SELECT status FROM orders`).Scan(&status); err != nil {
			return err
		}
		if status == "fulfilled" {
			t.Seconds = time.Since(killed).Seconds()
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// start runs a process that queues so many orders itself.
func (t *trial) start(ctx context.Context, orders int, args ...string) (*peer, error) {
	p, err := t.startPeer(ctx, cell{System: t.System, Store: "plain", InHand: idleInHand, Orders: orders}, t.on, 1, args...)
	if err != nil {
		return nil, err
	}
	return p, p.begin(ctx)
}
