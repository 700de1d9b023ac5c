package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fulfillment-worker/internal/inspect"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the queue in figures",
		Long: `Show how many messages wait, are in hand, wait for their retry or are dead, how
many workers live, and how many orders stand in which status in PostgreSQL.`,
		Example: `  queuectl status
  queuectl status --json | jq .waiting`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd.Context(), func(b backends) error {
				s, err := b.inspector().Status(cmd.Context())
				if err != nil {
					return err
				}
				return p.show(s, func() string { return p.statusText(s) })
			})
		},
	}
}

func (p *program) statusText(s inspect.Status) string {
	waiting := fmt.Sprint(s.Waiting)
	if s.OldestAge != nil {
		waiting += fmt.Sprintf(", the oldest for %s", short(s.OldestAge.Duration()))
	}
	dead := fmt.Sprint(s.Dead)
	if s.Dead > 0 {
		dead = p.paint(red, dead)
	}
	t := columns()
	t.AppendRow(table.Row{"queue", s.Queue})
	t.AppendRow(table.Row{"waiting", waiting})
	t.AppendRow(table.Row{"in hand", s.InHand})
	t.AppendRow(table.Row{"delayed", s.Delayed})
	t.AppendRow(table.Row{"dead", dead})
	t.AppendRow(table.Row{"reconciled", s.Reconciled})
	t.AppendRow(table.Row{"workers", p.workersText(s.Workers)})
	t.AppendRow(table.Row{"paused", p.pauseText(s.Paused)})
	t.AppendRow(table.Row{"orders", ordersText(s)})
	return render(t)
}

// workersText leaves out the states in which no worker should be, and none is.
func (p *program) workersText(workers map[inspect.State]int) string {
	text := fmt.Sprintf("%d alive", workers[inspect.Alive])
	if workers[inspect.Alive] == 0 {
		text = p.paint(yellow, text)
	}
	for _, state := range []inspect.State{inspect.Lapsed, inspect.Condemned, inspect.Unregistered} {
		if n := workers[state]; n > 0 {
			text += ", " + p.paint(red, fmt.Sprintf("%d %s", n, state))
		}
	}
	return text
}

func (p *program) pauseText(pause *inspect.Pause) string {
	if pause == nil {
		return "no"
	}
	return p.paint(yellow, harmless(fmt.Sprintf("by %s since %s", pause.By, pause.Since)))
}

func ordersText(s inspect.Status) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(s.Orders)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.Orders[status], harmless(string(status))))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
