package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/dashboard"
	"fulfillment-worker/internal/httpd"
	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/queue"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// serveHTTP serves the health, the metrics and the live page until ctx is done. What looks at
// the whole queue has connections of its own, so that no order waits for one.
func serveHTTP(ctx context.Context, l net.Listener, server httpd.Server, figures *metrics.Metrics, cfg config.Config, log *slog.Logger) error {
	few := cfg.PostgresSeldom(1)
	few.ConnConfig.RuntimeParams["application_name"] = service + " page"
	db, err := pgxpool.NewWithConfig(ctx, few)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer db.Close()
	rdb := redis.NewUniversalClient(queue.Harden(*cfg.Redis(), 2))
	defer context.AfterFunc(ctx, func() { _ = rdb.Close() })() // go-redis waits for an answer, done or not

	inspector := inspect.New(rdb, db, cfg.QueueName, cfg.LeaseTTL)
	live := inspect.NewLive(inspector)
	page := dashboard.Page{
		Live:      live,
		Inspector: inspector,
		Operator:  func(who string) dashboard.Operator { return queue.NewOperator(rdb, cfg.QueueName, who) },
		Token:     cfg.DashboardToken.Reveal(),
		Queue:     cfg.QueueName,
		Worker:    cfg.WorkerID,
		Version:   version,
		Settings:  cfg.Shown(),
		Log:       log,
	}
	server.Page = page.Handler()
	figures.Queue(wholeQueue(live))
	server.Metrics = figures.Handler()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return live.Run(ctx) })
	group.Go(func() error { return server.Serve(ctx, l) })
	return group.Wait()
}
