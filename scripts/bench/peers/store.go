package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fulfilEach takes each order through its two steps, with a commit each.
func fulfilEach(db *pgxpool.Pool) handler {
	const (
		begin  = `UPDATE orders SET status = 'processing', updated_at = now() WHERE id = $1 AND status = 'pending'`
		finish = `UPDATE orders SET status = 'fulfilled', updated_at = now() WHERE id = $1 AND status = 'processing'`
	)
	return func(ctx context.Context, ids ...int64) error {
		for _, id := range ids {
			if _, err := db.Exec(ctx, begin, id); err != nil { // in processing after a crash, which is no fault
				return err
			}
			if err := changes(1)(db.Exec(ctx, finish, id)); err != nil {
				return err
			}
		}
		return nil
	}
}

var errUnchanged = errors.New("an order was not in the state that it should be in")

// changes checks that an UPDATE has changed so many rows.
func changes(want int) func(pgconn.CommandTag, error) error {
	return func(tag pgconn.CommandTag, err error) error {
		if err == nil && tag.RowsAffected() != int64(want) {
			return errUnchanged
		}
		return err
	}
}

const (
	beginAll = `UPDATE orders AS o SET status = 'processing', updated_at = now()
		FROM unnest($1::int[]) AS u(id) WHERE o.id = u.id AND o.status = 'pending'`
	finishAll = `UPDATE orders AS o SET status = 'fulfilled', updated_at = now()
		FROM unnest($1::int[]) AS u(id) WHERE o.id = u.id AND o.status = 'processing' RETURNING o.id`
)

// fulfilAtOnce takes all orders of a call through each step by one UPDATE.
func fulfilAtOnce(db *pgxpool.Pool) handler {
	return func(ctx context.Context, ids ...int64) error {
		for _, sql := range []string{beginAll, finishAll} {
			if err := changes(len(ids))(db.Exec(ctx, sql, ids)); err != nil {
				return err
			}
		}
		return nil
	}
}

// together is how many orders one UPDATE changes at most.
const together = 1024

// fulfilTogether takes the orders of many handlers through a step by one UPDATE: a store
// that any queue can be given.
func fulfilTogether(db *pgxpool.Pool) handler {
	begin, finish := newCommitter(db, beginAll), newCommitter(db, finishAll)
	return func(ctx context.Context, ids ...int64) error {
		for _, id := range ids {
			if _, err := begin.commit(ctx, id); err != nil {
				return err
			}
			if changed, err := finish.commit(ctx, id); err != nil || !changed {
				return cmp.Or(err, errUnchanged)
			}
		}
		return nil
	}
}

// committer commits one step for all orders that wait for it: while one UPDATE is under
// way, the next one's orders gather.
type committer struct {
	db      *pgxpool.Pool
	sql     string
	waiting chan step
}

// step is one order's wait.
type step struct {
	id   int32
	done chan outcome
}

type outcome struct {
	changed bool
	err     error
}

func newCommitter(db *pgxpool.Pool, sql string) *committer {
	c := &committer{db: db, sql: sql, waiting: make(chan step, together)}
	go func() {
		for first := range c.waiting {
			c.flush(c.gather(first))
		}
	}()
	return c
}

// commit returns once the order's step is committed.
func (c *committer) commit(ctx context.Context, id int64) (changed bool, err error) {
	s := step{int32(id), make(chan outcome, 1)}
	c.waiting <- s
	select {
	case o := <-s.done:
		return o.changed, o.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (c *committer) gather(first step) []step {
	steps := []step{first}
	for len(steps) < together {
		select {
		case s := <-c.waiting:
			steps = append(steps, s)
		default:
			return steps
		}
	}
	return steps
}

func (c *committer) flush(steps []step) {
	ids := make([]int32, len(steps))
	for i, s := range steps {
		ids[i] = s.id
	}
	changed := make(map[int32]bool, len(steps))
	rows, err := c.db.Query(context.Background(), c.sql, ids)
	if err == nil {
		var id int32
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			changed[id] = true
			return nil
		})
	}
	for _, s := range steps {
		s.done <- outcome{changed[s.id], err}
	}
}
