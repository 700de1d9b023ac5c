// Command controls shows that the tests can fail: it builds the worker with one mechanism
// taken out, again and again, each time another one, and runs the fault that must notice.
//
// Nothing of that stands in the sources: a control is a change of one place in one file,
// which the compiler is given instead (go build -overlay). Each probe is first run on the
// sound build, where it must find nothing. A broken build gets three runs to be caught.
// The exit code is 0 if every one was, 1 if not, and 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const runs = 3 // a broken build gets to be caught

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, complaints io.Writer) int {
	flags := flag.NewFlagSet("controls", flag.ContinueOnError)
	flags.SetOutput(complaints)
	list := flags.Bool("list", false, "only say which controls there are")
	flags.Usage = func() {
		fmt.Fprintln(complaints, "usage: controls [--list] [NAME...]   (all, if none is named)")
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		fmt.Fprintln(complaints, "controls:", err)
		return 2
	}
	if *list {
		for _, c := range chosen {
			fmt.Fprintf(out, "%-28s %s\n", c.name, c.without)
		}
		return 0
	}
	if err := judge(ctx, out, chosen); err != nil {
		fmt.Fprintln(complaints, "controls:", err)
		return 1
	}
	return 0
}

// choose finds controls by their names; none named is all.
func choose(names []string) ([]control, error) {
	if len(names) == 0 {
		return controls, nil
	}
	var chosen []control
	for _, name := range names {
		i := slices.IndexFunc(controls, func(c control) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no control %q; --list says which there are", name)
		}
		chosen = append(chosen, controls[i])
	}
	return chosen, nil
}

// judge runs the probes on the sound build, then on each broken one.
func judge(ctx context.Context, out io.Writer, chosen []control) error {
	begin := time.Now()
	for _, c := range chosen {
		if err := c.build(ctx); err != nil {
			return err
		}
	}
	for _, p := range probesOf(chosen) {
		found, err := p.run(ctx, nil)
		if err != nil {
			return err
		}
		if found != "" {
			return fmt.Errorf("%v finds something in the sound build: %s", p, found)
		}
		fmt.Fprintf(out, "%5.0f s  sound build: %v finds nothing\n", time.Since(begin).Seconds(), p)
	}
	var missed []string
	for _, c := range chosen {
		found, tries, err := c.try(ctx)
		if err != nil {
			return err
		}
		if found == "" {
			missed = append(missed, c.name)
			found = "NOT CAUGHT"
		}
		fmt.Fprintf(out, "%5.0f s  without %s: run %d of %v: %s\n", time.Since(begin).Seconds(), c.without, tries, c.probe, found)
	}
	fmt.Fprintf(out, "\n%d of %d broken builds were caught\n", len(chosen)-len(missed), len(chosen))
	if len(missed) > 0 {
		return fmt.Errorf("not caught within %d runs: %s", runs, strings.Join(missed, ", "))
	}
	return nil
}

// probesOf are the probes of the controls, each once.
func probesOf(chosen []control) []probe {
	var probes []probe
	for _, c := range chosen {
		if !slices.Contains(probes, c.probe) {
			probes = append(probes, c.probe)
		}
	}
	return probes
}
