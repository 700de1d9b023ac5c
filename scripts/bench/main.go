// Command bench measures the worker and prints the figures: what it costs while it
// has nothing to do, how soon it picks an order up, how well it keeps many orders in
// hand, how soon the orders of a killed worker are taken over, and its throughput.
//
// It runs the real worker on a Redis and a PostgreSQL of its own, which share the
// machine with it. It judges nothing: it exits 0 when it has measured, whatever the
// figures are, 1 when it could not, and 2 for wrong usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sections are the measurements, in their order.
var sections = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"idle", (*bench).measureIdle},
	{"pickup", (*bench).measurePickup},
	{"concurrent", (*bench).measureConcurrent},
	{"kills", (*bench).measureKills},
	{"throughput", (*bench).measureThroughput},
	{"latency", (*bench).measureLatency},
	{"allocations", (*bench).measureAllocations},
	{"growth", (*bench).measureGrowth},
}

func main() {
	full := flag.Bool("full", false, "every system, every number in hand, all orders: an hour rather than minutes")
	limit := flag.Int("orders", math.MaxInt, "no more orders in any cell, for a trial")
	only := flag.String("only", "", "measure only these, with commas between: "+strings.Join(names(), ","))
	file := flag.String("json", "", "write the figures to this file, too")
	flag.Parse()
	chosen, err := choose(*only)
	if err == nil && flag.NArg() > 0 {
		err = errors.New("it takes flags only")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		flag.Usage()
		os.Exit(2)
	}
	// A reader that goes away, or a terminal that is closed, is a reason to clean up.
	ctx, gone := signal.NotifyContext(context.Background(), syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err = measure(ctx, chosen, *full, *limit, *file)
	interrupted := ctx.Err() != nil
	stop()
	gone()
	if err != nil {
		if interrupted {
			err = errors.New("interrupted; everything is stopped and removed")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func names() []string {
	var all []string
	for _, s := range sections {
		all = append(all, s.name)
	}
	return all
}

// choose reads a list of sections; an empty one is all of them.
func choose(only string) ([]string, error) {
	if only == "" {
		return names(), nil
	}
	chosen := strings.Split(only, ",")
	for _, name := range chosen {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("there is no measurement %q", name)
		}
	}
	return chosen, nil
}

func measure(ctx context.Context, chosen []string, full bool, limit int, file string) error {
	begin := time.Now()
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	b.full, b.limit = full, limit
	if err := b.describe(ctx); err != nil {
		return err
	}
	for _, s := range sections {
		if !slices.Contains(chosen, s.name) {
			continue
		}
		if err := s.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.report.Seconds = time.Since(begin).Seconds()
	b.report.print(os.Stdout)
	if file == "" {
		return nil
	}
	return b.report.save(file)
}

func (r *report) save(file string) error {
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(out, '\n'), 0o644)
}
