// Command queuectl looks at a fulfillment queue and its orders, checks that none is
// lost, changes what a person must decide on, and queues orders for trials.
//
// It takes its settings from the same environment as the worker. It exits 0 when it
// is done, 1 when it failed, 2 when it was called wrongly, and 3 when verify found a
// fault.
//
// # What callers may rely on
//
//   - What was asked for is on standard output, and nothing else is; with --json it
//     is one JSON value on one line, and from watch one on each.
//   - An error is one line on standard error that begins with "queuectl:" and holds
//     no URL and no password.
//   - What changes the queue's state asks on a terminal, or takes --yes; otherwise it
//     changes nothing. Who it was stands in the queue's events.
//   - Colours and progress bars are for terminals only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"fulfillment-worker/internal/queue"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	queue.RedirectLogs(slog.New(slog.DiscardHandler)) // what matters comes back as an error
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}

// The exit codes.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitFault
)

// errFault ends a command that found a fault and has shown it.
var errFault = errors.New("fault found")

// usageError is a command that makes no sense as it was given.
type usageError struct{ error }

// program is one run of queuectl.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	json   bool // --json
	parsed bool // the command line made sense to cobra
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	root := p.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)

	var wrong usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFault):
		return exitFault
	case errors.As(err, &wrong) || !p.parsed:
		_, _ = fmt.Fprintf(stderr, "queuectl: %s; see %s --help\n", oneLine(err), cmd.CommandPath())
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = errors.New(strings.Replace(err.Error(), ctx.Err().Error(), "interrupted", 1))
	}
	_, _ = fmt.Fprintf(stderr, "queuectl: %s\n", oneLine(err))
	return exitFailed
}

// oneLine is the text of an error that may have several lines, some of them twice.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "queuectl",
		Version: version,
		Short:   "Look after a fulfillment queue",
		Long: `queuectl looks at a fulfillment queue in Redis and its orders in PostgreSQL.

It takes its settings from the same environment as the worker: REDIS_URL,
REDIS_MODE, QUEUE_NAME, DATABASE_URL or POSTGRES_*, and where it does a worker's
work LEASE_TTL, MAX_DELIVERIES, MAX_MESSAGE_BYTES and RECONCILE_AFTER.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 verify found a fault.`,
		Example: `  queuectl status
  REDIS_URL=redis://localhost:6379 POSTGRES_HOST=localhost queuectl verify --json`,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       noSuchCommand,
		PersistentPreRun:           func(*cobra.Command, []string) { p.parsed = true },
		RunE:                       noCommand,
	}
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print one JSON value instead of text")
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(
		p.statusCommand(), p.workersCommand(), p.inflightCommand(), p.delayedCommand(), p.deadCommand(), p.traceCommand(),
		p.verifyCommand(), p.pauseCommand(), p.resumeCommand(), p.reapCommand(), p.reconcileCommand(), p.enqueueCommand(),
		p.watchCommand(),
	)
	return root
}

func noCommand(*cobra.Command, []string) error { return usageError{errors.New("no command given")} }

func noSuchCommand(parent *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if similar := parent.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = fmt.Sprintf("; did you mean %s?", strings.Join(similar, " or "))
	}
	return fmt.Errorf("unknown command %q%s", args[0], hint)
}
