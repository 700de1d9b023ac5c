package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/order"
)

// plain is what one writes first: it loses no order as long as nobody dies.
type plain struct {
	rdb   *redis.Client
	db    *pgxpool.Pool
	queue string
}

// connections is how many the worker has to PostgreSQL by default.
func connections() string {
	defaults, _ := config.Load(func(string) string { return "" }) // an empty environment is a valid one
	return strconv.Itoa(defaults.PostgresMaxConns)
}

// startPlain runs the plain loop in so many goroutines, with as many connections to
// PostgreSQL as the worker has.
func (b *bench) startPlain(ctx context.Context, _, queue string, concurrency int) (func(), error) {
	db, err := pgxpool.New(ctx, b.rig.WorkerURL()+"&pool_max_conns="+connections())
	if err != nil {
		return nil, err
	}
	options := *b.rdb.Options()
	options.PoolSize = concurrency + 1
	p := &plain{rdb: redis.NewClient(&options), db: db, queue: queue}
	running, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	for range concurrency {
		loops.Go(func() { p.loop(running) })
	}
	return func() {
		cancel()
		loops.Wait()
		_ = p.rdb.Close()
		db.Close()
	}, nil
}

// loop ends at an error: orders are left then, which is noticed.
func (p *plain) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.one(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return
		}
	}
}

// one fulfils one order.
func (p *plain) one(ctx context.Context) error {
	inHand := p.queue + ":processing"
	payload, err := p.rdb.BLMove(ctx, p.queue, inHand, "RIGHT", "LEFT", time.Second).Result()
	if err != nil {
		return err
	}
	m, err := order.Decode([]byte(payload))
	if err != nil {
		return err
	}
	for _, sql := range []string{
		`UPDATE orders SET status = 'processing', updated_at = now() WHERE id = $1 AND status = 'pending'`,
		`UPDATE orders SET status = 'fulfilled', updated_at = now() WHERE id = $1 AND status = 'processing'`,
	} {
		if _, err := p.db.Exec(ctx, sql, m.OrderID); err != nil {
			return err
		}
	}
	return p.rdb.LRem(ctx, inHand, -1, payload).Err()
}
