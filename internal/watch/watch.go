// Package watch shows a queue live on a terminal, and lets people act on it.
//
// # What callers may rely on
//
//   - Nothing is done that was not asked and answered with yes.
//   - Of a text from a message or a server nothing reaches the terminal that it would obey.
//   - While a server is away the last picture stays, and the screen says so and since when.
//   - The terminal is as it was before once [Run] returns.
//
// # What this package never does
//
//   - It never asks a server by itself: what it shows comes from an [inspect.Live] and an
//     [inspect.Inspector], and what people want goes through a [queue.Operator].
package watch

import (
	"context"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sync/errgroup"
)

// Run shows the queue until the person quits, or ctx is done. Standard input and output are
// a terminal.
func Run(ctx context.Context, i *inspect.Inspector, o *queue.Operator) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	live := inspect.NewLive(i)
	p := tea.NewProgram(NewScreen(i, o), tea.WithoutSignalHandler()) // a signal ends ctx
	defer context.AfterFunc(ctx, p.Quit)()

	var g errgroup.Group
	g.Go(func() error { return live.Run(ctx) })
	g.Go(func() error {
		for f := range live.Watch(ctx) {
			p.Send(f)
		}
		return nil
	})
	_, err := p.Run()
	stop()
	_ = g.Wait() // both end with ctx, and neither fails
	return err
}
