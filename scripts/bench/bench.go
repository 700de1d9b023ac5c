package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/rig"
)

const (
	patience     = 60 * time.Second // bounds whatever is waited for,
	cellPatience = 8 * time.Minute  // but for a cell, in which a slow system has much to do
)

// ownName is how PostgreSQL knows this program's connections.
const ownName = "bench"

// noWork is the setting of an order that takes no time.
var noWork = []string{"PROCESSING_MIN=0", "PROCESSING_MAX=0"}

// bench is one run of the program.
type bench struct {
	full  bool
	limit int // orders of a cell at most

	rig    *rig.Rig
	rdb    *redis.Client
	db     *pgxpool.Pool // as the owner of the orders
	report report

	redisServer, postmaster int // process ids
}

// newBench starts servers and builds what is compared.
func newBench(ctx context.Context) (*bench, error) {
	r, err := rig.New(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{rig: r}
	for _, step := range []func(context.Context) error{b.connect, b.findServers, b.buildPeers} {
		if err := step(ctx); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) connect(ctx context.Context) error {
	options, err := redis.ParseURL(b.rig.Redis.URL())
	if err != nil {
		return err
	}
	b.rdb = redis.NewClient(options)
	b.db, err = pgxpool.New(ctx, b.rig.DatabaseURL()+"&application_name="+ownName)
	return err
}

// findServers asks the servers for their processes. Redis shall rewrite its append-only
// file when it is told to, and not within some cell's clock.
func (b *bench) findServers(ctx context.Context) error {
	if err := b.rdb.ConfigSet(ctx, "auto-aof-rewrite-percentage", "0").Err(); err != nil {
		return err
	}
	info, err := b.info(ctx, "server")
	if err != nil {
		return err
	}
	if b.redisServer, err = strconv.Atoi(info["process_id"]); err != nil {
		return err
	}
	return b.db.QueryRow(ctx, `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int`).Scan(&b.postmaster)
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

// order inserts n orders and queues them as the Order API does, in one command.
func (b *bench) order(ctx context.Context, queue string, n int) error {
	ids, err := b.insert(ctx, n)
	if err != nil {
		return err
	}
	messages := make([]any, len(ids))
	for i, id := range ids {
		messages[i] = message(id)
	}
	return b.rdb.LPush(ctx, queue, messages...).Err()
}

func message(id int64) string {
	return fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1, "correlation_id": "00000000-0000-4000-8000-%012d", "timestamp": "%s"}`,
		id, id, time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
}

// awaitAll waits until every order in the table is fulfilled.
func (b *bench) awaitAll(ctx context.Context) error {
	return waitUntil(ctx, 20*time.Millisecond, patience, "not every order is fulfilled", func(ctx context.Context) (bool, error) {
		var open int
		err := b.db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE status <> 'fulfilled'`).Scan(&open)
		return open == 0, err
	})
}

// waitUntil looks again and again until is says so. It fails where that takes too long,
// and says what is wrong then.
func waitUntil(ctx context.Context, every, within time.Duration, wrong string, is func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s within %v", wrong, within))
	defer cancel()
	for {
		if ok, err := is(ctx); ok || err != nil && ctx.Err() == nil {
			return err
		}
		if !sleep(ctx, every) {
			return context.Cause(ctx)
		}
	}
}

// clear empties the orders table and Redis, so that no measurement pays for another's.
func (b *bench) clear(ctx context.Context) error {
	for _, sql := range []string{"TRUNCATE orders", "CHECKPOINT"} {
		if _, err := b.db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := b.rdb.FlushAll(ctx).Err(); err != nil {
		return err
	}
	return b.rewriteLog(ctx)
}

// rewriteLog has Redis make its append-only file as short as it can be.
func (b *bench) rewriteLog(ctx context.Context) error {
	if err := b.rdb.BgRewriteAOF(ctx).Err(); err != nil {
		return err
	}
	return waitUntil(ctx, 5*time.Millisecond, patience, "Redis does not rewrite its file", func(ctx context.Context) (bool, error) {
		state, err := b.info(ctx, "persistence")
		return state["aof_rewrite_in_progress"] == "0" && state["aof_rewrite_scheduled"] == "0", err
	})
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
