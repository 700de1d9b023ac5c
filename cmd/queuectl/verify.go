package main

import (
	"fmt"
	"strings"

	"fulfillment-worker/internal/inspect"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Hold every order against every message",
		Long: `Hold every order that is not fulfilled against every message in Redis. A fault is
reported only if it shows twice, a second apart, so that a running system is not
suspected for what is on the move.

  lost      the order is not fulfilled and its message is nowhere
  stuck     the message is with a worker that is gone, or long due, and nobody moves it
  doubled   an unfulfilled order has several messages
  orphaned  the message is with an unregistered worker, or its order does not exist

Dead letters, and messages of orders that are fulfilled, are counted and are no
fault. It exits 3 if there is a fault.`,
		Example: `  queuectl verify
  queuectl verify --json | jq '.faults[] | select(.kind == "lost") | .order_id'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd.Context(), func(b backends) error {
				v, err := b.inspector().Verify(cmd.Context())
				if err != nil {
					return err
				}
				if err := p.show(v, func() string { return p.verdictText(v) }); err != nil {
					return err
				}
				if len(v.Faults) > 0 {
					return errFault
				}
				return nil
			})
		},
	}
}

func (p *program) verdictText(v inspect.Verdict) string {
	looked := fmt.Sprintf("%s and %s looked at; %d dead, %s",
		plural(v.Orders, "open order"), plural(v.Messages, "message"), v.Dead, plural(v.Leftovers, "leftover"))
	if len(v.Faults) == 0 {
		return p.paint(green, "no fault") + ": " + looked
	}
	t := columns("fault", "order", "status", "where", "detail", "correlation id")
	for _, f := range v.Faults {
		t.AppendRow(p.faultCells(f))
	}
	var counts []string
	for _, kind := range inspect.Kinds {
		if n := v.Count(kind); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return render(t) + "\n" + p.paint(red, plural(len(v.Faults), "fault")) +
		" (" + strings.Join(counts, ", ") + "): " + looked
}

func (p *program) faultCells(f inspect.Fault) table.Row {
	id := fmt.Sprint(f.OrderID)
	if f.OrderID == 0 {
		id = "?"
	}
	about := harmless(f.CorrelationID)
	if f.Payload != "" {
		about = "not a valid message: " + harmless(f.Payload)
	}
	return table.Row{p.paint(red, string(f.Kind)), id, harmless(string(f.Status)), strings.Join(f.Places, " "), f.Detail, about}
}
