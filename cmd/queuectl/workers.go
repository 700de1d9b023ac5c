package main

import (
	"fmt"

	"fulfillment-worker/internal/inspect"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func (p *program) workersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "Show who works, and until when each lease lasts",
		Long: `Show each worker instance: where it runs, until when its lease lasts, how many
messages it has in hand of how many at most, and since when it is there. PostgreSQL
may be away.

  alive         its lease runs
  lapsed        its lease is over, and nobody has acted upon it yet
  condemned     a reaper is giving back what it held
  unregistered  it holds messages and is not registered`,
		Example: `  queuectl workers
  queuectl workers --json | jq -r '.[] | select(.state == "alive") | .host'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withRedis(cmd.Context(), func(b backends) error {
				instances, err := b.inspector().Instances(cmd.Context())
				if err != nil {
					return err
				}
				return p.show(instances, func() string { return p.instancesText(instances) })
			})
		},
	}
}

func (p *program) instancesText(instances []inspect.Instance) string {
	total := plural(len(instances), "worker")
	if len(instances) == 0 {
		return total
	}
	t := columns("instance", "state", "lease", "in hand", "since", "host", "pid", "version")
	for _, i := range instances {
		lease, since := "", ""
		if i.LeaseLeft != nil {
			lease = p.leaseText(inspect.Worker{State: i.State, LeaseLeft: i.LeaseLeft})
		}
		if i.Age != nil {
			since = short(i.Age.Duration())
		}
		t.AppendRow(table.Row{
			harmless(i.Instance), p.stateText(i.State), lease, inHandText(i), since, harmless(i.Host), numberText(i.PID), harmless(i.Version),
		})
	}
	return render(t) + "\n" + total
}

func inHandText(i inspect.Instance) string {
	if i.Concurrency == 0 {
		return fmt.Sprint(i.InHand)
	}
	return fmt.Sprintf("%d of %d", i.InHand, i.Concurrency)
}

func (p *program) stateText(s inspect.State) string {
	if s == inspect.Alive {
		return p.paint(green, string(s))
	}
	return p.paint(red, string(s))
}

// numberText is "" where the instance has not described itself.
func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
