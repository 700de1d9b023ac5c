package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
)

// What grows, and how far. The quick benchmark has two sizes of what a goal is about.
var (
	quickGrowth = growth{older: []int{1e4, 1e6}, behind: []int{1e3, 1e5}, workers: []int{2, 8}, runs: 1}
	fullGrowth  = growth{
		older: []int{1e4, 1e5, 1e6, 1e7}, behind: []int{1e3, 1e4, 1e5, 1e6},
		workers: []int{1, 2, 4, 8, 16, 32}, payload: []int{200, 1000, 6000, 20_000, 60_000}, runs: 3,
	}
)

type growth struct {
	older, behind, workers, payload []int
	runs                            int
}

// measureGrowth is what an order costs where there is more of everything.
func (b *bench) measureGrowth(ctx context.Context) error {
	g := quickGrowth
	if b.full {
		g = fullGrowth
	}
	say("\ngrowth: the worker, 256 in hand")
	for _, step := range []func(context.Context, growth) error{b.growTable, b.growQueue, b.growWorkers, b.growPayload} {
		if err := step(ctx, g); err != nil {
			return err
		}
	}
	return b.clear(ctx)
}

// cells are those of a growth: grow sets what differs.
func (g growth) cells(sizes []int, grow func(*cell, int)) (all []cell) {
	for _, size := range sizes {
		c := cell{System: "worker", InHand: 256, Orders: orders, runs: g.runs}
		grow(&c, size)
		all = append(all, c)
	}
	return all
}

// growWorkers takes long enough that it hardly counts what each process pays once, for its
// connections and its heap, and repeats it: how many processes share the cores differs most
// from one run to the next.
func (b *bench) growWorkers(ctx context.Context, g growth) error {
	g.runs += 2
	return b.repeat(ctx, "growth", g.cells(g.workers, func(c *cell, n int) { c.Workers, c.Orders = n, 4*orders }), b.measure)
}

// growPayload bounds the bytes of all messages of a run.
func (b *bench) growPayload(ctx context.Context, g growth) error {
	const most = 300e6
	return b.repeat(ctx, "growth", g.cells(g.payload, func(c *cell, n int) { c.Payload, c.Orders = n, min(orders, most/n) }), b.measure)
}

// growTable keeps a table of each size, and measures with one after the other: the runs of
// a size lie apart, as everywhere.
func (b *bench) growTable(ctx context.Context, g growth) error {
	if err := b.clear(ctx); err != nil {
		return err
	}
	for _, size := range g.older {
		t := tableOf("rows", size)
		if err := b.makeTable(ctx, t, size); err != nil {
			return fmt.Errorf("a table of %d rows: %w", size, err)
		}
		defer b.dropTable(context.WithoutCancel(ctx), t)
	}
	cells := g.cells(g.older, func(c *cell, n int) { c.Older = n })
	return b.repeat(ctx, "growth", cells, func(ctx context.Context, c cell) (run, error) {
		return b.measureOn(ctx, tableOf("rows", c.Older), c)
	})
}

// growQueue keeps a queue of each length, with a table of its orders. Each run takes as
// many orders from the queue as it adds.
func (b *bench) growQueue(ctx context.Context, g growth) error {
	if err := b.clear(ctx); err != nil {
		return err
	}
	for _, length := range g.behind {
		t := tableOf("queued", length)
		defer b.dropTable(context.WithoutCancel(ctx), t)
		if err := b.makeTable(ctx, t, 0); err != nil {
			return err
		}
		if err := b.withTable(ctx, t, func() error { return b.queueBehind(ctx, length) }); err != nil {
			return fmt.Errorf("a queue of %d messages: %w", length, err)
		}
	}
	if err := b.rewriteLog(ctx); err != nil {
		return err
	}
	cells := g.cells(g.behind, func(c *cell, n int) { c.Behind = n })
	return b.repeat(ctx, "growth", cells, func(ctx context.Context, c cell) (run, error) {
		return b.measureOn(ctx, tableOf("queued", c.Behind), c)
	})
}

// queueBehind queues so many orders, of which no run shall reach the last, and notes what
// their messages take.
func (b *bench) queueBehind(ctx context.Context, length int) error {
	before, err := b.redisMemory(ctx)
	if err != nil {
		return err
	}
	ids, err := b.insert(ctx, length)
	if err != nil {
		return err
	}
	if err := b.stage(ctx, cell{Behind: length, Orders: length}, ids[0]); err != nil {
		return err
	}
	after, err := b.redisMemory(ctx)
	if err != nil {
		return err
	}
	q := queued{length, after - before}
	b.report.Queued = append(b.report.Queued, q)
	say("  %d messages take %.1f MB of Redis's memory", q.Messages, q.Memory)
	return nil
}

// measureOn runs a cell with a table that has rows already.
func (b *bench) measureOn(ctx context.Context, table string, c cell) (r run, err error) {
	err = b.withTable(ctx, table, func() error {
		ids, err := b.insert(ctx, c.Orders)
		if err != nil {
			return err
		}
		if err := b.settle(ctx); err != nil {
			return err
		}
		r, err = b.clock(ctx, c, ids[0])
		return err
	})
	if err != nil {
		err = fmt.Errorf("%v: %w", c, err)
	}
	return r, err
}

func tableOf(what string, size int) string { return "orders_" + what + "_" + strconv.Itoa(size) }

// makeTable makes a table beside orders, with so many orders that are fulfilled.
func (b *bench) makeTable(ctx context.Context, table string, rows int) error {
	worker, err := url.Parse(b.rig.WorkerURL())
	if err != nil {
		return err
	}
	for _, sql := range []string{
		"CREATE TABLE " + table + " (LIKE orders INCLUDING ALL)",
		"GRANT SELECT, UPDATE (status, updated_at) ON " + table + " TO " + worker.User.Username(),
		"INSERT INTO " + table + " (product_id, quantity, status) SELECT 1, 1, 'fulfilled' FROM generate_series(1, " + strconv.Itoa(rows) + ")",
	} {
		if _, err := b.db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) dropTable(ctx context.Context, table string) {
	_, _ = b.db.Exec(ctx, "DROP TABLE IF EXISTS "+table) // all is thrown away in the end
}

// withTable has another table be the orders' meanwhile.
func (b *bench) withTable(ctx context.Context, table string, f func() error) error {
	const aside = "orders_aside"
	rename := func(from, to string) error {
		_, err := b.db.Exec(ctx, "ALTER TABLE "+from+" RENAME TO "+to)
		return err
	}
	if err := rename("orders", aside); err != nil {
		return err
	}
	if err := rename(table, "orders"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if err := rename("orders", table); err != nil {
		return err
	}
	return rename(aside, "orders")
}

// queued is what many messages take. The worker's own memory stands with its runs.
type queued struct {
	Messages int     `json:"messages"`
	Memory   float64 `json:"redis_memory_mb"`
}

// redisMemory is what Redis has allocated, in MB of a million bytes each.
func (b *bench) redisMemory(ctx context.Context) (float64, error) {
	info, err := b.info(ctx, "memory")
	if err != nil {
		return 0, err
	}
	bytes, err := strconv.ParseFloat(info["used_memory"], 64)
	return bytes / 1e6, err
}
