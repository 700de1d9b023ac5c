// Command demo shows that no order is lost when a worker is killed.
//
// It runs three workers on a Redis and a PostgreSQL of its own, queues orders, kills
// a worker that has orders in hand, and tells who takes them over and when. Then it
// checks that every order was fulfilled once. Whatever it prints is read from the
// workers' logs, from queuectl or from the database. It exits 0 if nothing was lost,
// and 1 otherwise. Nothing of it remains.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"fulfillment-worker/internal/rig"
)

func main() {
	// A reader that goes away, or a terminal that is closed, is a reason to clean up.
	ctx, gone := signal.NotifyContext(context.Background(), syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, newAccount(os.Stdout))
	interrupted := ctx.Err() != nil
	stop()
	gone()
	if err != nil {
		if interrupted {
			err = errors.New("interrupted; everything is stopped and removed")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, a *account) error {
	a.line("Building the programs, starting a Redis and a PostgreSQL that are gone afterwards ...")
	r, err := rig.New(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	return newStory(r, a).tell(ctx)
}
