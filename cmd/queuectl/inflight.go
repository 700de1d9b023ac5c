package main

import (
	"fmt"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/order"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) inflightCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "inflight",
		Short: "Show what each worker has in hand",
		Long: `Show each worker instance with its lease, and each message that it has in hand,
the oldest first. An instance that holds messages and is not registered is shown
too.`,
		Example: `  queuectl inflight
  queuectl inflight --json | jq '.[] | select(.state != "alive")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd.Context(), func(b backends) error {
				workers, err := b.inspector().InFlight(cmd.Context())
				if err != nil {
					return err
				}
				return p.show(workers, func() string { return p.inflightText(workers) })
			})
		},
	}
}

func (p *program) inflightText(workers []inspect.Worker) string {
	t := columns("instance", "host", "lease", "order", "status", "work", "deliveries", "correlation id")
	inHand := 0
	for _, w := range workers {
		head := table.Row{w.Instance, harmless(w.Host), p.leaseText(w)}
		if len(w.Messages) == 0 {
			t.AppendRow(append(head, "-"))
		}
		for _, m := range w.Messages {
			inHand++
			t.AppendRow(append(head, messageCells(m)...))
			head = table.Row{"", "", ""} // a worker is named once
		}
	}
	total := fmt.Sprintf("%s, %s in hand", plural(len(workers), "worker"), plural(inHand, "message"))
	if len(workers) == 0 {
		return total
	}
	return render(t) + "\n" + total
}

func (p *program) leaseText(w inspect.Worker) string {
	switch w.State {
	case inspect.Alive:
		return p.paint(green, short(w.LeaseLeft.Duration())+" left")
	case inspect.Lapsed:
		return p.paint(red, "over for "+short(-w.LeaseLeft.Duration()))
	case inspect.Condemned, inspect.Unregistered:
	}
	return p.paint(red, string(w.State))
}

func messageCells(m inspect.Message) table.Row {
	work := "claimed"
	if m.Age != nil {
		work = "for " + short(m.Age.Duration())
	}
	if m.Payload != "" {
		return table.Row{"?", "", work, fmt.Sprint(m.Deliveries), "not a valid message: " + harmless(m.Payload)}
	}
	return table.Row{fmt.Sprint(m.OrderID), statusText(m.Status), work, fmt.Sprint(m.Deliveries), harmless(m.CorrelationID)}
}

// statusText is a status in PostgreSQL.
func statusText(s order.Status) string {
	if s == "" {
		return "no such order"
	}
	return harmless(string(s))
}
