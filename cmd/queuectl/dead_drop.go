package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// dropped is what dead drop answers.
type dropped struct {
	Dropped int `json:"dropped"`
	Gone    int `json:"gone"` // before it came to them
}

func (p *program) deadDropCommand() *cobra.Command {
	var which choice
	var c *change
	cmd := &cobra.Command{
		Use:   "drop (ID... | --reason REASON | --all)",
		Short: "Forget dead letters for good",
		Long: `Forget dead letters for good, with their payloads. An order that is still pending or
processing has no message then: after RECONCILE_AFTER the workers queue it again. Set
its status to something else before, if it shall rest.`,
		Example: `  queuectl dead drop 1769860800000-0
  queuectl dead drop --reason malformed --yes`,
		ValidArgsFunction: p.letterIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := which.check(args); err != nil {
				return err
			}
			return p.withRedis(cmd.Context(), func(b backends) error { return p.drop(cmd.Context(), b, c, which, args) })
		},
	}
	which.addFlags(cmd)
	c = p.changes(cmd)
	return cmd
}

func (p *program) drop(ctx context.Context, b backends, c *change, which choice, ids []string) error {
	letters, err := b.choose(ctx, which, ids)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("This forgets %s of %s for good. Orders that are still open will be queued again after RECONCILE_AFTER.", letters.text, b.cfg.QueueName)
	done, err := letters.change(ctx, c, what, "dropped", b.operator(c).Drop)
	if err != nil {
		return err
	}
	answer := dropped{done, len(letters.ids) - done}
	return p.show(answer, func() string { return changedText("dropped", answer.Dropped, answer.Gone) })
}
