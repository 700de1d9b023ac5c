package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) resumeCommand() *cobra.Command {
	var c *change
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Let the workers claim again",
		Long: `End a pause: every worker claims again within two seconds. Where claiming is not
paused, nothing changes. PostgreSQL may be away.`,
		Example: `  queuectl resume
  queuectl resume --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withRedis(cmd.Context(), func(b backends) error { return p.resume(cmd.Context(), b, c) })
		},
	}
	c = p.changes(cmd)
	return cmd
}

func (p *program) resume(ctx context.Context, b backends, c *change) error {
	now, err := b.inspector().Paused(ctx)
	if err != nil {
		return err
	}
	if now == nil {
		return p.show(pausing{}, func() string { return "not paused" })
	}
	what := fmt.Sprintf("This lets every worker of %s claim again. Claiming is paused %s.", b.cfg.QueueName, p.pauseText(now))
	if err := c.confirm(ctx, what); err != nil {
		return err
	}
	changed, err := b.operator(c).Resume(ctx)
	if err != nil {
		return err
	}
	return p.show(pausing{Changed: changed}, func() string { return "resumed" })
}
