package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"text/tabwriter"

	"fulfillment-worker/internal/config"
)

// switchLevel has each SIGUSR1 switch the log's level to debug, or back to the given one.
func switchLevel(level *slog.LevelVar, log *slog.Logger, given slog.Level) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			next := slog.LevelDebug
			if level.Level() == slog.LevelDebug {
				next = given
			}
			level.Set(min(next, slog.LevelInfo)) // so that the next line is seen
			log.Info("the log's level is switched", "to", next.String())
			level.Set(next)
		}
	}()
}

// announce is the first line of the log: which build this is, and its settings.
func announce(ctx context.Context, cfg config.Config, log *slog.Logger) {
	attrs := []slog.Attr{slog.String("version", version), slog.String("go", runtime.Version())}
	for _, s := range cfg.Shown() {
		if s.Value != "" {
			attrs = append(attrs, slog.String(s.Name, s.Value))
		}
	}
	log.LogAttrs(ctx, slog.LevelInfo, "Fulfillment Worker starting", attrs...)
}

// showVersion says which build this is, and which settings a worker would find.
func showVersion(w io.Writer, getenv func(string) string) {
	fmt.Fprintln(w, service, version)
	fmt.Fprintln(w, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	cfg, err := config.Load(getenv)
	if err != nil {
		fmt.Fprintf(w, "\nwrong settings:\n%v\n", err)
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	for _, s := range cfg.Shown() {
		fmt.Fprintf(table, "%s\t%s\n", s.Name, s.Value)
	}
	_ = table.Flush()
}
