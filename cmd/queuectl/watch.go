package main

import (
	"context"
	"encoding/json"
	"errors"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/watch"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func (p *program) watchCommand() *cobra.Command {
	var count int
	var c change
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show the queue live, and act on it by keys",
		Long: `Show the queue live on a terminal: its figures, the workers with their leases and
what they have in hand, rates and latencies, and the events as they happen. Keys
pause and resume claiming, and requeue or drop dead letters; each asks first. Press
? for all keys.

With --json it prints what it sees once a second, one JSON value on each line, until
it is interrupted: the first with the events and samples of the last minutes, each
other with those that are new. An error in one of them says that a server gave no
answer; it goes on.`,
		Example: `  queuectl watch
  queuectl watch --json | jq --unbuffered '.events[]'
  queuectl watch --json --count 1 | jq .workers`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.checkWatch(count, cmd.Flags().Changed("count")); err != nil {
				return err
			}
			if err := c.check(); err != nil {
				return err
			}
			return p.withUnasked(cmd.Context(), func(b backends) error {
				if p.json {
					return p.printFrames(cmd.Context(), inspect.NewLive(b.inspector()), count)
				}
				return watch.Run(cmd.Context(), b.inspector(), b.operator(&c))
			})
		},
	}
	p.signs(cmd, &c)
	cmd.Flags().IntVar(&count, "count", 0, "with --json, end after so many lines")
	return cmd
}

func (p *program) checkWatch(count int, counted bool) error {
	switch {
	case counted && !p.json:
		return usageError{errors.New("--count goes with --json")}
	case counted && count < 1:
		return usageError{errors.New("--count must be at least 1")}
	case !p.json && (!isTerminal(p.stdin) || !isTerminal(p.stdout)):
		return usageError{errors.New("watch needs a terminal; --json prints a line a second instead")}
	}
	return nil
}

// printFrames prints a line for each look, until there were so many, or ctx is done.
func (p *program) printFrames(ctx context.Context, live *inspect.Live, count int) error {
	ctx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return live.Run(ctx) })
	g.Go(func() error {
		defer stop()
		e := json.NewEncoder(p.stdout)
		e.SetEscapeHTML(false)
		n := 0
		for f := range live.Watch(ctx) {
			if err := e.Encode(f); err != nil {
				return err
			}
			if n++; n == count {
				return nil
			}
		}
		return nil
	})
	return g.Wait()
}
