package main

import (
	"context"
	"fmt"

	"fulfillment-worker/internal/inspect"

	"github.com/spf13/cobra"
)

// pausing is what pause and resume answer.
type pausing struct {
	Changed bool           `json:"changed"`
	Paused  *inspect.Pause `json:"paused"`
}

func (p *program) pauseCommand() *cobra.Command {
	var c *change
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Let no worker claim any more",
		Long: `Let no worker claim any more, within two seconds and until somebody resumes. Work in
hand goes on; messages that come are kept waiting. Where claiming is paused already,
nothing changes. PostgreSQL may be away.`,
		Example: `  queuectl pause
  queuectl pause --yes --by 'the night shift, before the migration'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withRedis(cmd.Context(), func(b backends) error { return p.pause(cmd.Context(), b, c) })
		},
	}
	c = p.changes(cmd)
	return cmd
}

func (p *program) pause(ctx context.Context, b backends, c *change) error {
	now, err := b.inspector().Paused(ctx)
	if err != nil {
		return err
	}
	if now != nil {
		return p.show(pausing{Paused: now}, func() string { return "paused already, " + p.pauseText(now) })
	}
	what := fmt.Sprintf("This keeps every worker of %s from claiming, until somebody resumes. Work in hand goes on.", b.cfg.QueueName)
	if err := c.confirm(ctx, what); err != nil {
		return err
	}
	changed, err := b.operator(c).Pause(ctx)
	if err != nil {
		return err
	}
	if now, err = b.inspector().Paused(ctx); err != nil {
		return err
	}
	return p.show(pausing{changed, now}, func() string { return "paused; queuectl resume ends it" })
}
