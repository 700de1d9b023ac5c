package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/rig"
)

// patience bounds whatever is waited for.
const patience = 60 * time.Second

// noWork is the setting of an order that takes no time.
var noWork = []string{"PROCESSING_MIN=0", "PROCESSING_MAX=0"}

// bench is one run of the program.
type bench struct {
	rig    *rig.Rig
	rdb    *redis.Client
	db     *pgxpool.Pool // as the owner of the orders
	report report
}

func newBench(ctx context.Context) (*bench, error) {
	r, err := rig.New(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{rig: r}
	options, err := redis.ParseURL(r.Redis.URL())
	if err == nil {
		b.rdb = redis.NewClient(options)
		b.db, err = pgxpool.New(ctx, r.DatabaseURL())
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.rdb != nil {
		_ = b.rdb.Close()
	}
	if b.db != nil {
		b.db.Close()
	}
	b.rig.Close()
}

// start runs a worker on that queue and waits until it has joined. Its log goes to
// lines.
func (b *bench) start(ctx context.Context, name, queue string, lines chan rig.Line, settings ...string) (*rig.Worker, rig.Line, error) {
	w, err := b.rig.Start(name, func(l rig.Line) { lines <- l }, append(settings, "QUEUE_NAME="+queue)...)
	if err != nil {
		return nil, rig.Line{}, err
	}
	joined, err := await(ctx, lines, func(l rig.Line) bool { return l.Worker == name && l.Event() == rig.Joined })
	return w, joined, err
}

// await reads lines until one matches.
func await(ctx context.Context, lines <-chan rig.Line, match func(rig.Line) bool) (rig.Line, error) {
	limit := time.After(patience)
	for {
		select {
		case <-ctx.Done():
			return rig.Line{}, ctx.Err()
		case <-limit:
			return rig.Line{}, errors.New("a worker's log does not say what is waited for")
		case l := <-lines:
			if match(l) {
				return l, nil
			}
		}
	}
}

// insert makes n pending orders and returns their ids.
func (b *bench) insert(ctx context.Context, n int) ([]int64, error) {
	rows, err := b.db.Query(ctx, `INSERT INTO orders (product_id, quantity) SELECT 1, 1 FROM generate_series(1, $1) RETURNING id`, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// push queues the orders as the Order API does, in one command. It returns when that
// was sent.
func (b *bench) push(ctx context.Context, queue string, ids []int64) (time.Time, error) {
	messages := make([]any, len(ids))
	for i, id := range ids {
		messages[i] = message(id)
	}
	sent := time.Now()
	return sent, b.rdb.LPush(ctx, queue, messages...).Err()
}

func message(id int64) string {
	return fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1, "correlation_id": "00000000-0000-4000-8000-%012d", "timestamp": "%s"}`,
		id, id, time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
}

// order inserts and queues n orders.
func (b *bench) order(ctx context.Context, queue string, n int) ([]int64, time.Time, error) {
	ids, err := b.insert(ctx, n)
	if err != nil {
		return nil, time.Time{}, err
	}
	sent, err := b.push(ctx, queue, ids)
	return ids, sent, err
}

// awaitAll waits until every order in the table is fulfilled.
func (b *bench) awaitAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("not every order is fulfilled in time"))
	defer cancel()
	for {
		var open int
		err := b.db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE status <> 'fulfilled'`).Scan(&open)
		if err == nil && open == 0 {
			return nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// clear empties the orders table, so that no measurement pays for another's rows.
func (b *bench) clear(ctx context.Context) error {
	for _, sql := range []string{"TRUNCATE orders", "CHECKPOINT"} {
		if _, err := b.db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits for d and reports true, or false as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
