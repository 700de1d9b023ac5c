// Command bench measures the worker beside other queues and beside what the servers could
// do: throughput, latency, what an order costs and how that grows, recovery after kill -9,
// and what the worker costs while it has nothing to do.
//
// It runs the real worker, and the programs of scripts/bench/peers, on a Redis and a
// PostgreSQL of its own, which share the machine with them. It prints each figure beside
// its goal, and exits 0 when it has measured, whether they are met or not, 1 when it could
// not measure, or an order was lost, and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
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
	{"recovery", (*bench).measureRecovery},
}

// fewest orders are enough for several commits, whatever is in hand: one alone has no rate.
const fewest = 5000

// request is what the command line asks for.
type request struct {
	full     bool
	limit    int
	sections []string
	json     string
	plots    string
	report   string
}

func main() {
	r, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	// A reader that goes away, or a terminal that is closed, is a reason to clean up.
	ctx, gone := signal.NotifyContext(context.Background(), syscall.SIGPIPE, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err = r.run(ctx)
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

func parse(args []string) (r request, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&r.full, "full", false, "every system, every number in hand, all orders: half an hour rather than minutes")
	flags.IntVar(&r.limit, "orders", math.MaxInt, "no more orders in any cell, for a trial")
	flags.StringVar(&r.json, "json", "", "write the figures to this file, too")
	flags.StringVar(&r.plots, "plots", "", "draw the figures into this directory, too")
	flags.StringVar(&r.report, "report", "", "measure nothing: write BENCHMARKS.md, the plots beside this file of figures, and the README's table")
	only := flags.String("only", "", "measure only these, with commas between: "+strings.Join(names(), ","))
	if err := flags.Parse(args); err != nil {
		return r, err
	}
	if flags.NArg() > 0 {
		return r, errors.New("it takes flags only")
	}
	if r.limit < fewest {
		return r, fmt.Errorf("--orders: it takes %d or more", fewest)
	}
	r.sections, err = choose(*only)
	return r, err
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

func (r request) run(ctx context.Context) error {
	if r.report != "" {
		return publish(ctx, r.report)
	}
	begin := time.Now()
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	b.full, b.limit = r.full, r.limit
	b.report = report{Began: begin, Full: r.full, Command: r.command(), BySection: map[string]float64{}}
	if err := b.describe(ctx); err != nil {
		return err
	}
	for _, s := range sections {
		if !slices.Contains(r.sections, s.name) {
			continue
		}
		since := time.Now()
		failed := s.measure(b, ctx)
		b.report.BySection[s.name] = time.Since(since).Seconds()
		b.report.Seconds = time.Since(begin).Seconds()
		if err := r.save(&b.report); err != nil { // an hour's figures outlive a failure
			return err
		}
		if failed != nil {
			return fmt.Errorf("%s: %w", s.name, failed)
		}
	}
	b.report.print(os.Stdout)
	if r.plots == "" {
		return nil
	}
	return b.report.draw(ctx, r.plots)
}

// command is how to ask for the same again.
func (r request) command() string {
	c := "make bench"
	if r.full {
		c = "make bench-full"
	}
	var flags []string
	if len(r.sections) < len(sections) {
		flags = append(flags, "--only "+strings.Join(r.sections, ","))
	}
	if r.limit < math.MaxInt {
		flags = append(flags, fmt.Sprintf("--orders %d", r.limit))
	}
	if len(flags) > 0 {
		c += " BENCHFLAGS='" + strings.Join(flags, " ") + "'"
	}
	return c
}

func (r request) save(figures *report) error {
	if r.json == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(r.json), 0o755); err != nil {
		return err
	}
	return figures.save(r.json)
}
