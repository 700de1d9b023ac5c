package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// requeued is what dead requeue answers.
type requeued struct {
	Requeued int `json:"requeued"`
	Gone     int `json:"gone"` // before it came to them
}

func (p *program) deadRequeueCommand() *cobra.Command {
	var which choice
	var c *change
	cmd := &cobra.Command{
		Use:   "requeue (ID... | --reason REASON | --all)",
		Short: "Queue dead letters again",
		Long: `Queue the messages of dead letters again, byte for byte and in front of all others, the
oldest letter's foremost, as if they had never been delivered. Each order may be taken
over at once. No letter is queued twice, however often this is called.`,
		Example: `  queuectl dead requeue 1769860800000-0
  queuectl dead requeue --reason exhausted
  queuectl dead list --json | jq -r '.[] | select(.order_id == 17) | .id' | xargs queuectl dead requeue --yes`,
		ValidArgsFunction: p.letterIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := which.check(args); err != nil {
				return err
			}
			return p.withRedis(cmd.Context(), func(b backends) error { return p.requeue(cmd.Context(), b, c, which, args) })
		},
	}
	which.addFlags(cmd)
	c = p.changes(cmd)
	return cmd
}

func (p *program) requeue(ctx context.Context, b backends, c *change, which choice, ids []string) error {
	letters, err := b.choose(ctx, which, ids)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("This queues %s of %s again, in front.", letters.text, b.cfg.QueueName)
	done, err := letters.change(ctx, c, what, "requeued", b.operator(c).Requeue)
	if err != nil {
		return err
	}
	answer := requeued{done, len(letters.ids) - done}
	return p.show(answer, func() string { return changedText("requeued", answer.Requeued, answer.Gone) })
}
