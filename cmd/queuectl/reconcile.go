package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/reconcile"

	"github.com/spf13/cobra"
)

// putBack is a message that reconcile has queued.
type putBack struct {
	OrderID       int64  `json:"order_id"`
	CorrelationID string `json:"correlation_id"`
}

func (p *program) reconcileCommand() *cobra.Command {
	var c *change
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Queue again what Redis has lost",
		Long: `Look once for orders that are not fulfilled, that nobody has touched for
RECONCILE_AFTER, and of which Redis knows nothing, and queue a message for each, in
front, as the workers do every RECONCILE_INTERVAL. An order that may still be far
back in a long queue waits. One looks at a time.

A RECONCILE_AFTER that is shorter than an order may take (ORDER_TIMEOUT and
LEASE_TTL) may make an order be worked twice; it is fulfilled once all the same.`,
		Example: `  queuectl reconcile
  RECONCILE_AFTER=30s queuectl reconcile --yes --json | jq length`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd.Context(), func(b backends) error { return p.reconcile(cmd, b, c) })
		},
	}
	c = p.changes(cmd)
	return cmd
}

func (p *program) reconcile(cmd *cobra.Command, b backends, c *change) error {
	ctx, after := cmd.Context(), b.cfg.ReconcileAfter
	if after == 0 {
		return usageError{errors.New("RECONCILE_AFTER is 0, which turns such looks off")}
	}
	what := fmt.Sprintf("This queues a message for each open order that nobody has touched for %s and that is nowhere in Redis.", after)
	if err := c.confirm(ctx, what); err != nil {
		return err
	}
	orders, err := db.New(b.cfg.Postgres(), b.cfg.OrderTimeout+b.cfg.LeaseTTL, silent)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	defer orders.Close()
	return b.queue(c.by, func(q *queue.Queue) error {
		reconciler := reconcile.Reconciler{
			Orders: orders, Queue: q, Name: b.cfg.QueueName, Interval: b.cfg.ReconcileInterval, After: after, Log: silent,
		}
		queued, alone, err := reconciler.Now(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s queued: %w", plural(len(queued), "order"), err)
		case !alone:
			return errors.New("somebody else is looking right now")
		}
		return p.showPutBack(queued)
	})
}

func (p *program) showPutBack(queued []order.Message) error {
	slices.SortFunc(queued, func(a, b order.Message) int { return cmp.Compare(a.OrderID, b.OrderID) })
	all := []putBack{}
	lines := []string{plural(len(queued), "order") + " queued again"}
	for _, m := range queued {
		all = append(all, putBack{m.OrderID, m.CorrelationID})
		lines = append(lines, fmt.Sprintf("order %d, as %s", m.OrderID, m.CorrelationID))
	}
	return p.show(all, func() string { return strings.Join(lines, "\n") })
}
