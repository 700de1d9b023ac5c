package main

import (
	"errors"
	"fmt"

	"fulfillment-worker/internal/inspect"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) delayedCommand() *cobra.Command {
	var limit int64
	cmd := &cobra.Command{
		Use:   "delayed",
		Short: "Show what waits for its next delivery",
		Long: `Show the messages that wait for their next delivery, those that are due first: they
failed, or somebody else has their order in hand.`,
		Example: `  queuectl delayed
  queuectl delayed --limit 0 --json | jq 'map(.due_in_ms) | max'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError{errLimit}
			}
			return p.with(cmd.Context(), func(b backends) error {
				messages, total, err := b.inspector().Delayed(cmd.Context(), limit)
				if err != nil {
					return err
				}
				return p.show(messages, func() string { return p.delayedText(messages, total) })
			})
		},
	}
	cmd.Flags().Int64Var(&limit, "limit", 50, "show so many at most; 0 is all")
	return cmd
}

var errLimit = errors.New("--limit must be 0 or more")

func (p *program) delayedText(messages []inspect.Delayed, total int64) string {
	count := plural(total, "message") + " delayed"
	if len(messages) == 0 {
		return count
	}
	t := columns("due", "order", "status", "deliveries", "correlation id")
	for _, m := range messages {
		due := "in " + short(m.Due.Duration())
		if m.Due < 0 {
			due = p.paint(yellow, short(-m.Due.Duration())+" ago")
		}
		id, about := fmt.Sprint(m.OrderID), harmless(m.CorrelationID)
		if m.Payload != "" {
			id, about = "?", "not a valid message: "+harmless(m.Payload)
		}
		t.AppendRow(table.Row{due, id, statusText(m.Status), m.Deliveries, about})
	}
	return render(t) + "\n" + count + ifMore(int64(len(messages)) < total)
}

// ifMore is how to see what the limit has left out.
func ifMore(more bool) string {
	if more {
		return "; --limit 0 shows all"
	}
	return ""
}
