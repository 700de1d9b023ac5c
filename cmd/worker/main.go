// Command worker fulfils orders: it takes their messages from a Redis list, does the
// work, and sets them fulfilled in PostgreSQL. It is set up by environment variables;
// worker -help lists them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/fulfil"
	"fulfillment-worker/internal/httpd"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/outage"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/reconcile"
	"fulfillment-worker/internal/traces"

	"golang.org/x/sync/errgroup"
)

// version is set by the linker.
var version = "dev"

const service = "fulfillment-worker"

// garbage is by how much of itself, in percent, the heap may grow before it is collected.
// It is so small that at Go's own 100 it would be collected a hundred times a second.
const garbage = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code: 0 after a clean stop, 1 if it could
// not start or go on, 2 for wrong usage.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { usage(flags.Output()) }
	healthcheck := flags.Bool("healthcheck", false, "")
	asksVersion := flags.Bool("version", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		usage(stderr)
		return 2
	case *asksVersion:
		showVersion(stdout, getenv)
		return 0
	}
	cfg, err := config.Load(getenv)
	var level slog.LevelVar
	level.Set(cfg.LogLevel)
	log := logger.New(stdout, service, &level)
	defer logger.Flush(log)
	if err != nil {
		log.Error("cannot start: wrong settings", "error", err)
		return 1
	}
	if *healthcheck {
		return checkHealth(cfg.HTTPAddr, stderr)
	}
	switchLevel(&level, log, cfg.LogLevel)
	ctx, stop := untilSignal(log)
	defer stop()
	if getenv("GOMAXPROCS") == "" {
		go startProcessors().watch(ctx)
	}
	announce(ctx, cfg, log)
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("stopped by an error", "error", err)
		return 1
	}
	return 0
}

// untilSignal returns a context that is done at the first SIGTERM or SIGINT. A second
// one ends the process at once.
func untilSignal(log *slog.Logger) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		first := <-signals
		log.Info("Fulfillment Worker shutting down", "signal", first.String())
		cancel()
		second := <-signals
		log.Warn("stopped at once by a second signal", "signal", second.String())
		os.Exit(1)
	}()
	return ctx, cancel
}

// serve wires the parts and runs them until ctx is done. When it is, the claims stop
// first, the heartbeat, the health and the connections last.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	for _, warning := range cfg.Warnings() {
		log.WarnContext(ctx, "unwise setting", "warning", warning)
	}
	log = log.With("worker", cfg.WorkerID) // the logs of several are read together
	queue.RedirectLogs(log)
	figures := metrics.New(metrics.Worker{Version: version, Slots: cfg.Concurrency, Lease: cfg.LeaseTTL})
	tracer, err := traces.New(service, version, log)
	if err != nil {
		return err
	}
	defer tracer.Close() // last, when what could end a trace has ended
	rdb := queue.Dial(cfg.Redis(), cfg.Concurrency, cfg.MaxMessageBytes)
	defer rdb.Close()
	rdb.Measure(figures)
	orders, err := db.New(cfg.Postgres(), cfg.OrderTimeout+cfg.LeaseTTL, log)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer orders.Close()
	orders.Measure(figures)
	q := queue.New(rdb, queue.Config{
		Name:            cfg.QueueName,
		Worker:          cfg.WorkerID,
		Version:         version,
		Concurrency:     cfg.Concurrency,
		Lease:           cfg.LeaseTTL,
		MaxDeliveries:   cfg.MaxDeliveries,
		RetryInitial:    cfg.RetryInitial,
		RetryMax:        cfg.RetryMax,
		ShutdownTimeout: cfg.ShutdownTimeout,
		MaxMessageBytes: cfg.MaxMessageBytes,
		Metrics:         figures,
	}, log)
	consumer := queue.NewConsumer(q, orders.Available)
	fulfiller := &fulfil.Fulfiller{Orders: orders, Work: work(cfg), Timeout: cfg.OrderTimeout, Log: log, Metrics: figures, Traces: tracer}
	consumer.Prepare, consumer.Finish, consumer.Relay = fulfiller.Prepare, fulfiller.Finish, fulfiller.Relay
	listener, err := listen(cfg.HTTPAddr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	profiles, err := listen(cfg.PprofAddr)
	if err != nil {
		return fmt.Errorf("PPROF_ADDR: %w", err)
	}

	group, ctx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx)) // from before the start until after the end
	if listener != nil {
		health := httpd.Server{
			Log:   log,
			Alive: map[string]httpd.Check{"consumer": func(context.Context) error { return consumer.Alive() }},
			Ready: map[string]httpd.Check{
				"postgres": orders.Ping,
				"redis":    func(ctx context.Context) error { return rdb.Fit(ctx, cfg.QueueName) },
				"consumer": func(context.Context) error { return consumer.Claiming() },
			},
			Unwise: map[string]httpd.Check{
				"redis": func(ctx context.Context) error { return rdb.Durable(ctx, cfg.QueueName) },
			},
		}
		figures.Hands(consumer.Hands)
		figures.Checks(health.Passed)
		group.Go(func() error { return serveHTTP(serving, listener, health, figures, cfg, log) })
	}
	if profiles != nil {
		group.Go(func() error { return httpd.ServePprof(serving, profiles, log) })
	}
	group.Go(func() error {
		defer stopServing()
		if err := reach(ctx, cfg, orders, rdb, log); err != nil {
			return err
		}
		group.Go(func() error { return orders.Watch(serving) }) // orders in hand need it to the end
		group.Go(func() error { return queue.NewReaper(q).Run(ctx) })
		group.Go(func() error { return queue.NewPromoter(q).Run(ctx) })
		if cfg.Reconciles() {
			group.Go(func() error { return reconciler(cfg, orders, q, log, figures).Run(ctx) })
		}
		return consumer.Consume(ctx, fulfiller.Handle)
	})
	return group.Wait()
}

// reach waits until both servers are of use, as long as STARTUP_TIMEOUT allows. It
// returns nil, too, if the worker is told to stop meanwhile.
func reach(ctx context.Context, cfg config.Config, orders *db.Orders, rdb queue.Redis, log *slog.Logger) error {
	limited, cancel := context.WithTimeoutCause(ctx, cfg.StartupTimeout, errors.New("STARTUP_TIMEOUT is over"))
	defer cancel()
	err := orders.Reach(limited)
	if err != nil {
		err = fmt.Errorf("DATABASE_URL or POSTGRES_*: %w", err)
	} else if err = reachRedis(limited, cfg.QueueName, rdb, log); err != nil {
		err = fmt.Errorf("REDIS_URL: %w", err)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func reachRedis(ctx context.Context, name string, rdb queue.Redis, log *slog.Logger) error {
	once := context.WithoutCancel(ctx) // each try is bounded by itself, and there is one even without any time
	err := outage.Ride(ctx, log, "reach Redis", func() error {
		err := rdb.Usable(once, name)
		if errors.Is(err, queue.ErrTooOld) {
			return outage.Stop(err)
		}
		return err
	})
	if err != nil {
		return err
	}
	if unfit := rdb.Fit(once, name); unfit != nil {
		log.WarnContext(ctx, "Redis is not fit to hold the queue safely", "error", unfit)
	}
	if risk := rdb.Durable(once, name); risk != nil {
		log.WarnContext(ctx, "Redis may lose what it has confirmed", "error", risk)
	}
	return nil
}

// listen opens the address of the HTTP server; nil is none.
func listen(addr string) (net.Listener, error) {
	if addr == "off" {
		return nil, nil
	}
	return httpd.Listen(addr)
}

func reconciler(cfg config.Config, orders *db.Orders, q *queue.Queue, log *slog.Logger, figures *metrics.Metrics) *reconcile.Reconciler {
	return &reconcile.Reconciler{
		Orders: orders, Queue: q, Name: cfg.QueueName, Interval: cfg.ReconcileInterval, After: cfg.ReconcileAfter, Log: log,
		Metrics: figures,
	}
}

func work(cfg config.Config) fulfil.Work {
	if target := cfg.FulfillmentURL.Reveal(); target != "" {
		return fulfil.NewPost(target)
	}
	return fulfil.Simulation{Min: cfg.ProcessingMin, Max: cfg.ProcessingMax}
}
