package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"

	"github.com/jackc/pgx/v5"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const (
	// batch is how many orders one INSERT and one LPUSH take at most.
	batch = 500

	// stepTimeout bounds one INSERT and its LPUSH.
	stepTimeout = 10 * time.Second
)

// enqueuer queues orders as the Order API does.
type enqueuer struct {
	backends
	count    int
	rate     float64 // orders a second; 0 is as fast as possible
	product  int32   // 0 is any
	quantity int32   // 0 is any
	progress func(done int)

	inserted, queued int
	first, last      int64
}

func (p *program) enqueueCommand() *cobra.Command {
	var e enqueuer
	cmd := &cobra.Command{
		Use:   "enqueue",
		Short: "Insert orders and queue them, as the Order API does",
		Long: `Insert pending orders into PostgreSQL and queue a message for each, exactly as the
Order API does. The role needs INSERT on orders, which the worker's has not.`,
		Example: `  queuectl enqueue
  queuectl enqueue --count 500 --rate 50
  queuectl enqueue --count 10000 --product 3 --quantity 1 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.check(cmd); err != nil {
				return usageError{err}
			}
			return p.with(cmd.Context(), func(b backends) error {
				e.backends = b
				return p.enqueue(cmd.Context(), &e)
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&e.count, "count", 1, "how many orders")
	f.Float64Var(&e.rate, "rate", 0, "how many a second; 0 is as fast as possible")
	f.Int32Var(&e.product, "product", 0, "product of each order (default any)")
	f.Int32Var(&e.quantity, "quantity", 0, "quantity of each order (default any)")
	return cmd
}

func (e *enqueuer) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case e.count < 1:
		return errors.New("--count must be at least 1")
	case !(e.rate >= 0) || math.IsInf(e.rate, 1): // also what is no number
		return errors.New("--rate must be 0 or more")
	case given("product") && e.product < 1:
		return errors.New("--product must be at least 1")
	case given("quantity") && e.quantity < 1:
		return errors.New("--quantity must be at least 1")
	}
	return nil
}

func (p *program) enqueue(ctx context.Context, e *enqueuer) error {
	e.progress = func(int) {}
	if isTerminal(p.stderr) {
		bar := progressbar.NewOptions(e.count, progressbar.OptionSetWriter(p.stderr), progressbar.OptionShowCount(),
			progressbar.OptionSetDescription("enqueue"), progressbar.OptionClearOnFinish())
		e.progress = func(done int) { _ = bar.Set(done) }
		defer func() { _ = bar.Clear() }()
	}
	start := time.Now()
	if err := e.run(ctx); err != nil {
		return err
	}
	took := time.Since(start)
	result := struct {
		Enqueued int     `json:"enqueued"`
		FirstID  int64   `json:"first_id"`
		LastID   int64   `json:"last_id"`
		Seconds  float64 `json:"seconds"`
	}{e.queued, e.first, e.last, took.Seconds()}
	return p.show(result, func() string {
		return fmt.Sprintf("enqueued %s (%s) in %.1fs", plural(e.queued, "order"), e.ids(), took.Seconds())
	})
}

// ids names the orders that were inserted.
func (e *enqueuer) ids() string {
	if e.first == e.last {
		return fmt.Sprintf("id %d", e.first)
	}
	return fmt.Sprintf("ids %d..%d", e.first, e.last)
}

// run queues all orders, or says how far it got.
func (e *enqueuer) run(ctx context.Context) error {
	start := time.Now()
	for e.queued < e.count {
		n, err := e.await(ctx, start)
		if err == nil {
			err = e.step(ctx, n)
		}
		if err != nil && e.inserted > 0 {
			return fmt.Errorf("%s inserted (%s), %d of them queued: %w", plural(e.inserted, "order"), e.ids(), e.queued, err)
		}
		if err != nil {
			return fmt.Errorf("no order inserted: %w", err)
		}
		e.progress(e.queued)
	}
	return nil
}

// await waits until at least one more order is due, and says how many are.
func (e *enqueuer) await(ctx context.Context, start time.Time) (int, error) {
	n := min(batch, e.count-e.queued)
	if e.rate == 0 {
		return n, ctx.Err()
	}
	next := time.Duration(float64(e.queued) / e.rate * float64(time.Second))
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(next - time.Since(start)):
	}
	due := int(time.Since(start).Seconds()*e.rate) + 1 - e.queued
	return max(1, min(n, due)), ctx.Err()
}

// row is one order, with the columns' names in the table.
type row struct {
	ID        int64
	ProductID int32
	Quantity  int32
}

// step inserts n orders and queues them, the oldest first. It goes on when ctx is
// done: who interrupts it must not leave orders without a message.
func (e *enqueuer) step(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
	defer cancel()
	rows, err := e.insert(ctx, n)
	if err != nil {
		return fmt.Errorf("insert into PostgreSQL: %w", err)
	}
	if e.inserted == 0 {
		e.first = rows[0].ID
	}
	e.inserted += len(rows)
	e.last = rows[len(rows)-1].ID

	messages := make([]any, len(rows))
	for i, r := range rows {
		messages[i] = order.Message{
			OrderID: r.ID, ProductID: int64(r.ProductID), Quantity: int64(r.Quantity),
			CorrelationID: order.NewCorrelationID(), Queued: time.Now(),
		}.Encode()
	}
	if err := e.rdb.LPush(ctx, queue.NewKeys(e.cfg.QueueName).Queue(), messages...).Err(); err != nil {
		return fmt.Errorf("queue in Redis: %w", err)
	}
	e.queued += len(rows)
	return nil
}

// insert is one statement, and so one transaction that is committed when it
// returns.
func (e *enqueuer) insert(ctx context.Context, n int) ([]row, error) {
	products, quantities := make([]int32, n), make([]int32, n)
	for i := range n {
		products[i], quantities[i] = e.product, e.quantity
		if e.product == 0 {
			products[i] = rand.Int32N(100) + 1
		}
		if e.quantity == 0 {
			quantities[i] = rand.Int32N(5) + 1
		}
	}
	rows, err := e.db.Query(ctx, `
		INSERT INTO orders (product_id, quantity)
		SELECT * FROM unnest($1::int[], $2::int[])
		RETURNING id, product_id, quantity`, products, quantities)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[row])
}
