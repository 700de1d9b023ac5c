package main

import (
	"fmt"

	"fulfillment-worker/internal/inspect"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// mostShown is how many bytes of a payload are shown.
const mostShown = 64 << 10

func (p *program) deadShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter, with its payload",
		Long: `Show one dead letter with the first 64 KiB of its payload, which is quoted if it holds
what a terminal would obey.`,
		Example: `  queuectl dead show 1769860800000-0
  queuectl dead show 1769860800000-0 --json | jq -r .payload`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.oneLetterID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withRedis(cmd.Context(), func(b backends) error {
				l, err := b.letter(cmd.Context(), args[0], mostShown)
				if err != nil {
					return err
				}
				return p.show(l, func() string { return letterDetails(l) })
			})
		},
	}
}

func (p *program) oneLetterID(cmd *cobra.Command, given []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.letterIDs(cmd, given, begun)
}

func letterDetails(l inspect.Letter) string {
	t := columns()
	t.AppendRow(table.Row{"id", l.ID})
	t.AppendRow(table.Row{"at", clock(l.At)})
	t.AppendRow(table.Row{"reason", harmless(string(l.Reason))})
	t.AppendRow(table.Row{"error", printable(l.Error)})
	t.AppendRow(table.Row{"order", orderText(l.OrderID)})
	t.AppendRow(table.Row{"correlation id", printable(l.CorrelationID)})
	t.AppendRow(table.Row{"deliveries", l.Deliveries})
	t.AppendRow(table.Row{"instance", printable(l.Instance)})
	payload := fmt.Sprintf("payload, %s:", plural(l.Bytes, "byte"))
	if len(l.Payload) < l.Bytes {
		payload = fmt.Sprintf("payload, the first %d of %d bytes:", len(l.Payload), l.Bytes)
	}
	return render(t) + "\n" + payload + "\n" + printable(l.Payload)
}
