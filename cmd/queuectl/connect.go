package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// answerWithin is how long a server may take to answer at all.
const answerWithin = 4 * time.Second

// backends are the servers that a command needs.
type backends struct {
	cfg config.Config
	rdb redis.UniversalClient
	db  *pgxpool.Pool // nil where Redis is enough
}

// with connects to both servers, does the work and disconnects.
func (p *program) with(ctx context.Context, work func(backends) error) error {
	return p.withUnasked(ctx, func(b backends) error {
		if err := b.ping(ctx); err != nil {
			return err
		}
		return work(b)
	})
}

// withUnasked does the work whether the servers answer or not.
func (p *program) withUnasked(ctx context.Context, work func(backends) error) error {
	return p.connected(func(b backends) error {
		db, err := pgxpool.NewWithConfig(ctx, poolConfig(b.cfg))
		if err != nil {
			return fmt.Errorf("PostgreSQL: %w", err)
		}
		defer db.Close()
		b.db = db
		return work(b)
	})
}

// withRedis does without PostgreSQL, which may be away.
func (p *program) withRedis(ctx context.Context, work func(backends) error) error {
	return p.connected(func(b backends) error {
		if err := b.ping(ctx); err != nil {
			return err
		}
		return work(b)
	})
}

func (p *program) connected(work func(backends) error) error {
	cfg, err := config.Load(p.getenv)
	if err != nil {
		return usageError{err}
	}
	rdb := redis.NewUniversalClient(redisOptions(cfg))
	defer rdb.Close()
	return work(backends{cfg: cfg, rdb: rdb})
}

func (b backends) inspector() *inspect.Inspector {
	return inspect.New(b.rdb, b.db, b.cfg.QueueName, b.cfg.LeaseTTL)
}

// queue calls work with the queue as a worker of that name has it.
func (b backends) queue(who string, work func(*queue.Queue) error) error {
	rdb := queue.Dial(b.cfg.Redis(), 1, b.cfg.MaxMessageBytes)
	defer rdb.Close()
	return work(queue.New(rdb, queue.Config{
		Name: b.cfg.QueueName, Worker: who, Version: version, Concurrency: 1, Lease: b.cfg.LeaseTTL,
		MaxDeliveries: b.cfg.MaxDeliveries, RetryInitial: b.cfg.RetryInitial, RetryMax: b.cfg.RetryMax,
		ShutdownTimeout: b.cfg.ShutdownTimeout, MaxMessageBytes: b.cfg.MaxMessageBytes,
	}, silent))
}

// silent is for what says in a log what it returns, too.
var silent = slog.New(slog.DiscardHandler)

// ping asks the servers at once for any answer, and names each that gives none.
func (b backends) ping(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var fromRedis, fromPostgres error
	var g errgroup.Group
	g.Go(func() error {
		fromRedis = b.rdb.Ping(short).Err()
		return nil
	})
	g.Go(func() error {
		if b.db != nil {
			fromPostgres = b.db.Ping(short)
		}
		return nil
	})
	_ = g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(noAnswer("Redis", fromRedis), noAnswer("PostgreSQL", fromPostgres))
}

// noAnswer says whose error it is.
func noAnswer(server string, err error) error {
	if err == nil {
		return nil
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return fmt.Errorf("%s: no answer in time", server)
	}
	return fmt.Errorf("%s: %w", server, err)
}

// poolConfig gives up on a server that does not answer.
func poolConfig(cfg config.Config) *pgxpool.Config {
	c := cfg.PostgresSeldom(2)
	c.ConnConfig.ConnectTimeout = answerWithin
	return c
}

// redisOptions are the worker's: nothing is repeated, a command that fails is a line for
// the operator, who decides. But a picture of a long queue is a long reply.
func redisOptions(cfg config.Config) *redis.UniversalOptions {
	o := queue.Harden(*cfg.Redis(), 2)
	o.ReadTimeout, o.WriteTimeout = 10*time.Second, 10*time.Second
	return o
}
