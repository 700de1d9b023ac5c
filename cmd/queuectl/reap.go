package main

import (
	"context"
	"fmt"
	"strings"

	"fulfillment-worker/internal/queue"

	"github.com/spf13/cobra"
)

func (p *program) reapCommand() *cobra.Command {
	var c *change
	cmd := &cobra.Command{
		Use:   "reap",
		Short: "Give back what dead workers hold",
		Long: `Give what workers hold whose lease is over, or who are not registered, back to the
front of the queue, as each worker's own reaper does all the time: for when none
lives. A message longer than MAX_MESSAGE_BYTES becomes a dead letter. The worker that
gets a message next charges it a delivery, if its order had been begun.

It looks on for a lease first (LEASE_TTL, three seconds at least): after an outage of
Redis each lease is over, and the living need time for a beat. Set LEASE_TTL and
MAX_MESSAGE_BYTES as the workers have them. PostgreSQL may be away.`,
		Example: `  queuectl reap
  queuectl reap --yes --json | jq '.[].instance'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withRedis(cmd.Context(), func(b backends) error { return p.reap(cmd.Context(), b, c) })
		},
	}
	c = p.changes(cmd)
	return cmd
}

func (p *program) reap(ctx context.Context, b backends, c *change) error {
	what := fmt.Sprintf("This gives back what workers of %s hold whose lease is over; what is longer than %d bytes becomes a dead letter. It watches for a lease (%s) before.",
		b.cfg.QueueName, b.cfg.MaxMessageBytes, b.cfg.LeaseTTL)
	if err := c.confirm(ctx, what); err != nil {
		return err
	}
	return b.queue(c.by, func(q *queue.Queue) error {
		reaped, err := queue.NewReaper(q).Now(ctx)
		if err != nil {
			return fmt.Errorf("%s reaped: %w", plural(len(reaped), "worker"), err)
		}
		return p.show(reaped, func() string { return reapedText(reaped) })
	})
}

func reapedText(reaped []queue.Reaped) string {
	if len(reaped) == 0 {
		return "nobody to reap"
	}
	var lines []string
	for _, r := range reaped {
		lines = append(lines, fmt.Sprintf("reaped %s: %s back in the queue, %d dead",
			harmless(r.Instance), plural(r.Messages, "message"), r.Dead))
	}
	return strings.Join(lines, "\n")
}
