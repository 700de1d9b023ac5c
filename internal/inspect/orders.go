package inspect

import (
	"context"

	"fulfillment-worker/internal/order"

	"github.com/jackc/pgx/v5"
)

// statuses are the status of each of these orders that exists.
func (i *Inspector) statuses(ctx context.Context, ids []int64) (map[int64]order.Status, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return i.queryStatuses(ctx, `SELECT id, coalesce(status, '') FROM orders WHERE id = ANY($1::bigint[])`, ids)
}

// open are the orders that still need a message.
func (i *Inspector) open(ctx context.Context) (map[int64]order.Status, error) {
	return i.queryStatuses(ctx, `SELECT id, status FROM orders WHERE status IN ($1, $2)`, string(order.Pending), string(order.Processing))
}

func (i *Inspector) queryStatuses(ctx context.Context, sql string, args ...any) (map[int64]order.Status, error) {
	rows, err := i.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	found := map[int64]order.Status{}
	var id int64
	var status string
	_, err = pgx.ForEachRow(rows, []any{&id, &status}, func() error {
		found[id] = order.Status(status)
		return nil
	})
	return found, err
}

// isOpen reports whether an order in that status still needs a message. Nobody
// here finishes an order in a state of somebody else's.
func isOpen(s order.Status) bool { return s == order.Pending || s == order.Processing }

// countByStatus counts all orders.
func (i *Inspector) countByStatus(ctx context.Context) (map[order.Status]int64, error) {
	rows, err := i.db.Query(ctx, `SELECT coalesce(status, ''), count(*) FROM orders GROUP BY 1`)
	if err != nil {
		return nil, err
	}
	counts := map[order.Status]int64{}
	var status string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error {
		counts[order.Status(status)] = n
		return nil
	})
	return counts, err
}
