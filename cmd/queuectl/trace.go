package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fulfillment-worker/internal/inspect"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) traceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trace ORDER|CORRELATION_ID",
		Short: "Tell all that is known of one order",
		Long: `Tell all that is known of one order: its row in PostgreSQL, where its message is, how
often it was delivered, and the events that it was part of. A correlation id will do
as long as Redis knows of it; the logs know it for longer.

The whole queue is searched, a million messages at most.`,
		Example: `  queuectl trace 17
  queuectl trace 0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11
  queuectl trace 17 --json | jq -r '.messages[].place'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.with(cmd.Context(), func(b backends) error {
				s, err := b.inspector().Trace(cmd.Context(), args[0])
				if errors.Is(err, inspect.ErrNothing) {
					return fmt.Errorf("%s: %w", harmless(args[0]), err)
				}
				if err != nil {
					return err
				}
				return p.show(s, func() string { return p.storyText(s) })
			})
		},
	}
}

func (p *program) storyText(s inspect.Story) string {
	t := columns()
	t.AppendRow(table.Row{"order", orderText(s.OrderID)})
	if r := s.Order; r != nil {
		t.AppendRow(table.Row{"status", statusText(r.Status)})
		t.AppendRow(table.Row{"product", nullable(r.ProductID)})
		t.AppendRow(table.Row{"quantity", nullable(r.Quantity)})
		t.AppendRow(table.Row{"created", moment(r.CreatedAt)})
		t.AppendRow(table.Row{"updated", moment(r.UpdatedAt)})
	} else if s.OrderID != 0 {
		t.AppendRow(table.Row{"status", p.paint(red, statusText(""))})
	}
	for _, m := range s.Messages {
		t.AppendRow(table.Row{"message", p.placeText(m)})
		t.AppendRow(table.Row{"", fmt.Sprintf("deliveries charged: %d, correlation id: %s", m.Deliveries, harmless(m.CorrelationID))})
	}
	if len(s.Messages) == 0 {
		t.AppendRow(table.Row{"message", p.noMessageText(s)})
	}
	if s.Unsearched > 0 {
		t.AppendRow(table.Row{"", p.paint(yellow, fmt.Sprintf("the oldest %s of the queue were not searched", plural(s.Unsearched, "message")))})
	}
	text := render(t)
	if len(s.Events) > 0 {
		text += "\n\n" + eventsText(s.Events)
	}
	return text
}

func (p *program) placeText(m inspect.Place) string {
	switch m.Place {
	case "queue":
		return fmt.Sprintf("in the queue, number %d from the front", m.Position)
	case "processing":
		since := "claimed, not started"
		if m.Age != nil {
			since = "worked on for " + short(m.Age.Duration())
		}
		return fmt.Sprintf("in the hand of %s (%s), %s", harmless(m.Instance), p.stateText(m.State), since)
	case "delayed":
		if m.Due.Duration() < 0 {
			return "delayed, due since " + short(-m.Due.Duration())
		}
		return "delayed, due in " + short(m.Due.Duration())
	}
	return p.paint(red, fmt.Sprintf("dead letter %s, %s", m.Letter, harmless(string(m.Reason)))) + ": " + harmless(m.Error)
}

// noMessageText is what it means that there is no message.
func (p *program) noMessageText(s inspect.Story) string {
	switch {
	case s.Unsearched > 0:
		return "none found"
	case s.Astray():
		return p.paint(red, "none: Redis has lost it, or it was never queued; see queuectl reconcile")
	}
	return "none, and it needs none"
}

func eventsText(events []inspect.Chapter) string {
	t := columns("at", "event", "what")
	for _, e := range events {
		var parts []string
		for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
			if value := e.Fields[field]; value != "" && field != "order_id" && field != "orders" && field != "correlation_id" {
				parts = append(parts, field+"="+harmless(value))
			}
		}
		t.AppendRow(table.Row{clock(e.At), harmless(e.Event), strings.Join(parts, " ")})
	}
	return render(t)
}

// nullable is a number that may be missing in PostgreSQL.
func nullable(n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprint(*n)
}

func moment(t *time.Time) string {
	if t == nil {
		return "unknown"
	}
	return clock(*t)
}
