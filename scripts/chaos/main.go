// Command chaos shows that no fault loses or doubles an order.
//
// It runs the real worker on a Redis and a PostgreSQL of its own, lets orders come in,
// and injects faults: first one at a time, to measure how long each recovery takes, then
// everything at once. Then it lets everything drain, and looks: at the orders, at an
// audit of every step of every row, at what the workers said in their logs, and at what is
// left in Redis. It shares nothing with the worker but the names in the contract.
//
// A seed makes the schedule; the same seed makes the same schedule again, but not the
// same interleaving of what happens in it. It exits 0 if the verdict is good, 1 if it is
// not, and 2 for wrong usage.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	o, files, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	// A reader that goes away, or a terminal that is closed, is a reason to clean up. The
	// one shows at the next line: a signal would also come for every broken connection.
	signal.Ignore(syscall.SIGPIPE)
	ctx, gone := context.WithCancel(context.Background())
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	good, err := run(ctx, o, files, gone)
	interrupted := ctx.Err() != nil
	stop()
	gone()
	if err != nil {
		if interrupted {
			err = fmt.Errorf("interrupted (%w); %s", err, o.site.afterwards())
		}
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// files are where the report goes beside the terminal.
type files struct{ json, html string }

// site is where the workers run.
type site struct {
	compose               bool
	redisURL, databaseURL string
}

// open starts the environment, or takes the one that is given.
func (s site) open(ctx context.Context, p profile, follow func(event)) (environment, error) {
	switch {
	case s.compose:
		return startCompose(ctx, p, follow)
	case s.redisURL != "":
		return given{s.redisURL, s.databaseURL}, nil
	}
	return startProcesses(ctx, p, follow)
}

// afterwards is what is left where a run was interrupted.
func (s site) afterwards() string {
	if s.redisURL != "" {
		return "the faults are over; the servers, the workers and the orders that have come in live on"
	}
	return "the faults are over, everything is stopped and removed"
}

func parse(args []string) (o options, out files, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 0, "make the schedule of that run again; 0 draws one")
	flags.DurationVar(&o.duration, "duration", 30*time.Second, "how long there are faults")
	flags.IntVar(&o.rate, "rate", 0, "orders a second; 0 is 120, or 400 with --crowd")
	flags.Float64Var(&o.floor, "floor", 50, "orders a second, before and after the faults, below which the run shows nothing")
	flags.DurationVar(&o.slack, "slack", time.Second, "beyond every bound, for a busy machine")
	flags.BoolVar(&o.site.compose, "compose", false, "run compose.yaml under a name of its own, in containers")
	flags.StringVar(&o.site.redisURL, "redis-url", "", "take a Redis, a PostgreSQL and workers that run already, and let them live; their settings must be those of the profile. The faults of the group forgetful make the Redis forget, with all that is in it, or leave orders to the reconciler: here they happen only if they are named")
	flags.StringVar(&o.site.databaseURL, "database-url", "", "the PostgreSQL to that Redis, as the owner of the orders table")
	asDefault := flags.Bool("defaults", false, "run the workers at their default settings, but for twice the orders in hand; set a duration of minutes")
	asCrowd := flags.Bool("crowd", false, "have hundreds of orders in hand, rather than a few dozen")
	list := flags.String("faults", "all", "which, with commas between; a name or a group (all, worker, redis, postgres, producer, forgetful), ! leaves out:\n"+describe(faults))
	flags.StringVar(&out.json, "json", "", "write the report to this file as JSON; - is standard output")
	flags.StringVar(&out.html, "html", "", "write the report to this file as a page")
	if err := flags.Parse(args); err != nil {
		return o, out, err
	}
	if flags.NArg() > 0 {
		return o, out, errors.New("it takes flags only")
	}
	if o.profile, err = chooseProfile(*asDefault, *asCrowd); err != nil {
		return o, out, err
	}
	o.rate = cmp.Or(o.rate, o.profile.rate)
	if o.duration <= 0 || o.rate < 0 {
		return o, out, errors.New("a duration and a rate are more than nothing")
	}
	if float64(o.rate) < o.floor {
		return o, out, errors.New("a rate below the floor can show nothing")
	}
	if (o.site.redisURL == "") != (o.site.databaseURL == "") || o.site.compose && o.site.redisURL != "" {
		return o, out, errors.New("a given environment has a --redis-url and a --database-url")
	}
	for o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000_000)
	}
	o.faults, err = choose(*list, faults)
	if o.site.redisURL != "" {
		o.faults = slices.DeleteFunc(o.faults, func(f *fault) bool { return f.forgets && !named(f, *list) })
	}
	return o, out, err
}

func chooseProfile(asDefault, asCrowd bool) (profile, error) {
	switch {
	case asDefault && asCrowd:
		return profile{}, errors.New("--defaults and --crowd are two profiles")
	case asDefault:
		return defaults, nil
	case asCrowd:
		return crowd, nil
	}
	return torture, nil
}

func describe(faults []*fault) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "  %-18s %s\n", f.name, f.about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func run(ctx context.Context, o options, out files, gone func()) (good bool, err error) {
	redis.SetLogger(silent{}) // that a server is away is no news here
	a := newAccount(os.Stdout, gone)
	if out.json == "-" {
		a = newAccount(os.Stderr, gone)
	}
	r := &report{Seed: o.seed, Repeat: o.command(), Profile: o.profile, Duration: o.duration, Rate: o.rate, Floor: o.floor, Slack: o.slack}
	a.line("seed %d: the same schedule again, not the same interleaving, by\n  %s", o.seed, r.Repeat)
	if o.site.redisURL == "" {
		a.line("building the programs, starting a Redis, a PostgreSQL and %d workers that are gone afterwards ...", o.profile.Workers)
	}
	h := newHistory(o.profile.settle())
	env, err := o.site.open(ctx, o.profile, h.add)
	if err != nil {
		return false, err
	}
	defer env.Close()
	c, err := dial(ctx, env)
	if err != nil {
		return false, err
	}
	defer c.close()
	o.faults = possible(o.faults, env.Can())
	p := newProducer(c, h, o.rate)
	run := &chaos{
		options: o, clients: c, account: a, env: env, history: h,
		plan:     newPlan(o.seed, o.faults, placesOf(env), o.profile, o.duration),
		producer: p, report: r,
		nemesis: &nemesis{clients: c, env: env, history: h, producer: p, profile: o.profile, tell: a.at, deleted: map[string]bool{}},
		auditor: &auditor{clients: c, history: h, read: map[int64]bool{}},
	}
	h.deaf, h.logs = run.nemesis.deaf, len(env.Workers()) > 0
	if err := run.run(ctx); err != nil {
		return false, err
	}
	r.Kinds = sumKinds(o.faults, run.plan.kinds(), r.Injuries, o.profile)
	r.Verdict = r.judge()
	r.print(a)
	return r.Verdict.Good, r.write(out)
}

// command is what makes the same schedule again.
func (o options) command() string {
	command := fmt.Sprintf("go run ./scripts/chaos --seed %d --duration %s --rate %d --floor %g --slack %s", o.seed, o.duration, o.rate, o.floor, o.slack)
	if len(o.faults) < len(faults) || o.site.redisURL != "" { // where all is less
		var names []string
		for _, f := range o.faults {
			names = append(names, f.name)
		}
		command += " --faults " + strings.Join(names, ",")
	}
	if o.profile.Name != torture.Name {
		command += " --" + o.profile.Name
	}
	if o.site.compose {
		command += " --compose"
	}
	if o.site.redisURL != "" {
		command += " --redis-url ... --database-url ..."
	}
	return command
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
