package main

import (
	"fmt"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) deadListCommand() *cobra.Command {
	var reason string
	var limit int
	var oldest bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the dead letters",
		Long:  `Show the dead letters, the newest first, without their payloads.`,
		Example: `  queuectl dead list
  queuectl dead list --reason exhausted --oldest --limit 10
  queuectl dead list --limit 0 --json | jq 'group_by(.reason) | map({(.[0].reason): length}) | add'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError{errLimit}
			}
			if err := checkReason(reason); err != nil {
				return err
			}
			return p.withRedis(cmd.Context(), func(b backends) error {
				letters, more, err := b.inspector().Letters(cmd.Context(), queue.Selection{Reason: queue.Reason(reason), Newest: !oldest}, limit)
				if err != nil {
					return err
				}
				return p.show(letters, func() string { return lettersText(letters, more) })
			})
		},
	}
	reasonFlag(cmd, &reason, "only those of that reason")
	cmd.Flags().IntVar(&limit, "limit", 50, "show so many at most; 0 is all")
	cmd.Flags().BoolVar(&oldest, "oldest", false, "the oldest first")
	return cmd
}

func lettersText(letters []inspect.Letter, more bool) string {
	if len(letters) == 0 {
		return "no dead letter"
	}
	t := columns("id", "at", "reason", "order", "deliveries", "correlation id", "error")
	for _, l := range letters {
		t.AppendRow(table.Row{
			l.ID, clock(l.At), harmless(string(l.Reason)), orderText(l.OrderID), l.Deliveries, harmless(l.CorrelationID), harmless(l.Error),
		})
	}
	return render(t) + "\n" + plural(len(letters), "dead letter") + ifMore(more)
}

// orderText is an order's id, "?" where nobody knows it.
func orderText(id int64) string {
	if id == 0 {
		return "?"
	}
	return fmt.Sprint(id)
}
