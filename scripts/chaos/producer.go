package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

const (
	desks      = 16                    // orders that are taken at once
	mostAhead  = 4000                  // orders not fulfilled, beyond which no more are taken for a while
	askTimeout = 2 * time.Second       // for one INSERT or LPUSH
	askAgain   = 50 * time.Millisecond // after one that did not succeed
)

// outcomes of a step of the producer's: what it was told, which may be nothing.
type outcomes struct {
	OK      atomic.Int64
	Failed  atomic.Int64 // it was not carried out for sure
	Unknown atomic.Int64
}

func (o *outcomes) note(failed bool, err error) {
	switch {
	case err == nil:
		o.OK.Add(1)
	case failed:
		o.Failed.Add(1)
	default:
		o.Unknown.Add(1)
	}
}

// producer does as the Order API does: INSERT, then LPUSH. It is a patient one: it
// repeats each until it knows that it was carried out. An impatient one is a fault.
type producer struct {
	*clients
	history *history
	rate    int // orders a second

	inserts, pushes outcomes
	letters         letters
	work            sync.WaitGroup
}

func newProducer(c *clients, h *history, rate int) *producer {
	return &producer{clients: c, history: h, rate: rate, letters: letters{pushed: map[string]pushed{}}}
}

// reserve takes a number of ids from the table's sequence: a producer that knows the id
// before the INSERT can repeat it, and can push the message first.
func (p *producer) reserve(ctx context.Context, n int) (ids []int64, err error) {
	err = persist(ctx, "reserve ids", func(ctx context.Context) error {
		rows, err := p.db.Query(ctx, `SELECT nextval(pg_get_serial_sequence('orders', 'id')) FROM generate_series(1, $1)`, n)
		if err == nil {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		}
		return err
	})
	return ids, err
}

// run lets orders come in at a steady pace until ctx is done. Orders that were begun are
// brought to their end, as long as patience lets it.
func (p *producer) run(ctx, patience context.Context) {
	orders := make(chan int64)
	for range desks {
		p.work.Go(func() {
			for id := range orders {
				_ = p.order(patience, id)
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(p.rate))
	defer tick.Stop()
	var ids []int64
	for {
		select {
		case <-ctx.Done():
			close(orders)
			p.work.Wait()
			return
		case <-tick.C:
		}
		if p.history.outstanding() > mostAhead {
			continue
		}
		if len(ids) == 0 {
			var err error
			if ids, err = p.reserve(ctx, p.rate); err != nil {
				continue
			}
		}
		select {
		case orders <- ids[0]:
			ids = ids[1:]
		case <-ctx.Done():
		}
	}
}

// order brings one order in.
func (p *producer) order(ctx context.Context, id int64) error {
	if err := p.insert(ctx, id); err != nil {
		return err
	}
	return p.push(ctx, message(id, 0))
}

// insert repeats the INSERT until it is acknowledged.
func (p *producer) insert(ctx context.Context, id int64) error {
	p.history.want(id)
	for {
		err := p.insertOnce(ctx, id)
		p.inserts.note(refusedByPostgres(err), err)
		if err == nil {
			p.history.inserted(id)
			return nil
		}
		if !sleep(ctx, askAgain) {
			return err
		}
	}
}

func (p *producer) insertOnce(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := p.db.Exec(ctx, `INSERT INTO orders (id, product_id, quantity) VALUES ($1, 1, 1) ON CONFLICT DO NOTHING`, id)
	return err
}

// push repeats the LPUSH until it is acknowledged.
func (p *producer) push(ctx context.Context, payload string) error {
	for {
		err := p.pushOnce(ctx, payload)
		if err == nil || !sleep(ctx, askAgain) {
			return err
		}
	}
}

func (p *producer) pushOnce(ctx context.Context, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := p.rdb.LPush(ctx, queueKey, payload).Err()
	p.pushes.note(refusedByRedis(err), err)
	return err
}

// message is what the Order API writes; each copy of an order's is another payload.
func message(id int64, copy int) string {
	return fmt.Sprintf(`{"order_id": %d, "product_id": 1, "quantity": 1, "correlation_id": "c4a05000-0000-4000-8%03d-%012d", "timestamp": "%s"}`,
		id, copy, id, time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
}

// refusedByRedis reports whether an error says that nothing was carried out.
func refusedByRedis(err error) bool {
	var reply redis.Error
	return err != nil && (errors.As(err, &reply) || notDialled(err))
}

// refusedByPostgres reports whether an error says that nothing was carried out. An
// administrator's command may come between a statement and its answer.
func refusedByPostgres(err error) bool {
	var reply *pgconn.PgError
	if errors.As(err, &reply) {
		return reply.Code[:2] != "57"
	}
	var connect *pgconn.ConnectError
	return err != nil && (errors.As(err, &connect) || pgconn.SafeToRetry(err) || notDialled(err))
}

func notDialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
