package main

import (
	"context"
	"log/slog"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/dashboard"
	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// page is the live page with connections of its own: whatever is looked at, no order waits
// for one.
type page struct {
	*dashboard.Page
	rdb redis.UniversalClient
	db  *pgxpool.Pool
}

// openPage connects to nothing yet.
func openPage(cfg config.Config, log *slog.Logger) (page, error) {
	own := cfg.Postgres()
	own.MinConns, own.MaxConns = 0, 1
	db, err := pgxpool.NewWithConfig(context.Background(), own)
	if err != nil {
		return page{}, err
	}
	rdb := redis.NewUniversalClient(queue.Harden(*cfg.Redis(), 2))
	inspector := inspect.New(rdb, db, cfg.QueueName, cfg.LeaseTTL)
	return page{
		Page: &dashboard.Page{
			Live:      inspect.NewLive(inspector),
			Inspector: inspector,
			Operator:  func(who string) dashboard.Operator { return queue.NewOperator(rdb, cfg.QueueName, who) },
			Token:     cfg.DashboardToken.Reveal(),
			Queue:     cfg.QueueName, Worker: cfg.WorkerID, Version: version, Settings: cfg.Shown(), Log: log,
		},
		rdb: rdb, db: db,
	}, nil
}

func (p page) close() {
	p.db.Close()
	_ = p.rdb.Close()
}
