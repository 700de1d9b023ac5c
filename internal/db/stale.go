package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fulfillment-worker/internal/order"

	"github.com/jackc/pgx/v5"
)

const (
	scanTimeout = 30 * time.Second // for a look at the whole table, which may have no index for it

	// frozenAfter is for how long a look may ask PostgreSQL nothing: a process that was
	// frozen in the middle must not keep all others from looking.
	frozenAfter = 30 * time.Second
)

// Stale are the orders that nobody seems to care about: open, and untouched for a while.
type Stale struct {
	tx       pgx.Tx
	after    time.Duration
	patience time.Duration // of PostgreSQL with a look that asks it nothing
}

// Alone calls look, unless somebody else is at it in this database for the same name;
// it reports false then. Should this process die or freeze, others are let in.
//
// What look reads is current at each of its calls. An index keeps it cheap where most
// orders are fulfilled, and it works without:
//
//	CREATE INDEX ON orders (id) WHERE status IN ('pending', 'processing')
func (o *Orders) Alone(ctx context.Context, name string, after time.Duration, look func(*Stale) error) (alone bool, err error) {
	tx, err := o.begin(ctx)
	if err != nil {
		return false, fmt.Errorf("begin a look at stale orders: %w", err)
	}
	defer rollback(ctx, tx)
	s := &Stale{tx, after, o.frozenAfter}
	if alone, err = s.lock(ctx, name); err != nil || !alone {
		return false, err
	}
	return true, look(s)
}

func (o *Orders) begin(ctx context.Context) (pgx.Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}
	tx, err := o.pool.BeginTx(ctx, options)
	if errors.Is(err, errPooler) {
		tx, err = o.pool.BeginTx(ctx, options)
	}
	return tx, err
}

// rollback ends a transaction that has changed nothing. Where it fails, the connection
// is closed, which ends it as well.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// lock takes an advisory lock of the transaction rather than of the session: it cannot be
// left behind in the pool, or in a pooler between.
func (s *Stale) lock(ctx context.Context, name string) (locked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if _, err := s.tx.Exec(ctx, fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d", s.patience.Milliseconds())); err != nil {
		return false, err
	}
	err = s.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, "fulfillment-worker/"+name).Scan(&locked)
	return locked, err
}

// stale is the condition. An order without dates has waited for ever; now() is when the
// look began, so that what is touched meanwhile is not stale.
const stale = `id > 0 AND status IN ('pending', 'processing') AND
	coalesce(updated_at, created_at, '-infinity') <= now() - make_interval(secs => $1)`

// Touch tells PostgreSQL that the look goes on.
func (s *Stale) Touch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := s.tx.Exec(ctx, "SELECT 1")
	return err
}

// staleIDs reads them all, below an id.
const staleIDs = `SELECT id::bigint FROM orders WHERE ` + stale + ` AND id < $2::bigint ORDER BY id`

// IDs are the stale orders below that id, the oldest first.
func (s *Stale) IDs(ctx context.Context, below int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	rows, err := s.tx.Query(ctx, staleIDs, s.after.Seconds(), below)
	if err != nil {
		return nil, fmt.Errorf("look for stale orders: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// staleMessages reads what is known of those among some orders.
const staleMessages = `
	SELECT id::bigint, coalesce(product_id, 0)::bigint, coalesce(quantity, 0)::bigint, '', now(), '', ''
	FROM orders WHERE ` + stale + ` AND id = ANY($2::bigint[]) ORDER BY id`

// Messages are what should be queued for those of the orders that are still stale, the
// oldest first, without a correlation id or a trace. A message that an order's row cannot
// fill is invalid, and will be kept as such.
func (s *Stale) Messages(ctx context.Context, ids []int64) ([]order.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := s.tx.Query(ctx, staleMessages, s.after.Seconds(), ids)
	if err != nil {
		return nil, fmt.Errorf("read stale orders: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Message])
}
