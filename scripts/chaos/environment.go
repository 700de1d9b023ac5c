package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"fulfillment-worker/internal/proxy"
)

// environment is where the workers and their servers run.
type environment interface {
	// RedisURL and DatabaseURL are this program's own way to the servers, past all
	// that is done to the workers' connections. It owns the orders table.
	RedisURL() string
	DatabaseURL() string
	// Redis and Postgres are nil where they are not ours to stop.
	Redis() server
	Postgres() server
	// Workers are the places of the workers; each has one worker after the other.
	// There are none where the workers are not ours.
	Workers() []worker
	// Can is what may be done to the environment.
	Can() need
	// KillBackend ends one of PostgreSQL's processes by SIGKILL.
	KillBackend(pid int) error
	// Close ends and removes all that the environment has made.
	Close()
}

// server is what can be done to Redis and PostgreSQL as a whole.
type server interface {
	Kill()
	Restart() error // returns once it serves again
	Pause() error
	Resume() error
}

// worker is a place at which a worker runs.
type worker interface {
	Name() string
	// Start begins a life. A crash point other than "" makes it die there.
	Start(crashPoint string) error
	// Life is the present or latest life, as the audit and the logs name it.
	Life() string
	Kill() error
	Terminate() error       // SIGTERM
	Ended() <-chan struct{} // of the present life
	ExitCode() int          // of an ended life
	Freeze() error
	Thaw() error
	// Redis and Postgres are the networks between the worker and the servers.
	Redis() network
	Postgres() network
}

// network is what can be done to the connections between a worker and a server.
type network interface {
	Cut() error
	// Mend ends a cut, and says how much it has held up.
	Mend() (held int, err error)
	// Proxy does what is finer than a cut; nil where there is none.
	Proxy() *proxy.Proxy
}

// self is what this program's own connections are called: no fault is proved by them.
const self = "chaos"

// clients are this program's own connections.
type clients struct {
	rdb *redis.Client
	db  *pgxpool.Pool
}

// dial connects, and repeats nothing behind anybody's back.
func dial(ctx context.Context, env environment) (*clients, error) {
	rdb, err := dialRedis(env.RedisURL())
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(env.DatabaseURL())
	if err != nil {
		return nil, errors.New("DATABASE_URL: not a URL of PostgreSQL's")
	}
	cfg.MaxConns, cfg.ConnConfig.ConnectTimeout, cfg.PingTimeout = 2*desks, time.Second, time.Second
	cfg.ConnConfig.RuntimeParams["application_name"] = self
	db, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	c := &clients{rdb: rdb, db: db}
	if err := errors.Join(c.rdb.Ping(ctx).Err(), db.Ping(ctx)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func dialRedis(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	options.MaxRetries, options.DialerRetries, options.ContextTimeoutEnabled = -1, 1, true
	options.DialTimeout, options.PoolSize, options.ClientName = time.Second, 2*desks, self
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

func (c *clients) close() {
	_ = c.rdb.Close()
	c.db.Close()
}

// The contract's names.
const (
	queueKey      = "fulfillment_queue"
	tag           = "{fulfillment_queue}:"
	workersKey    = tag + "workers"
	deadKey       = tag + "dead"
	processingKey = tag + "processing:"
)

// held are the messages that an instance has in hand.
func (c *clients) held(ctx context.Context, instance string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.rdb.LRange(ctx, processingKey+instance, 0, -1).Result()
}

// staying are the keys that stay when all is done: what happened, and what was found.
var staying = []string{deadKey, tag + "events", tag + "reconciled", tag + "looked"}

// leftovers are the keys of the queue that there are, but for those that stay.
func (c *clients) leftovers(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var keys []string
	for _, pattern := range []string{queueKey, tag + "*"} {
		found := c.rdb.Scan(ctx, 0, pattern, 10_000).Iterator()
		for found.Next(ctx) {
			if key := found.Val(); !slices.Contains(staying, key) {
				keys = append(keys, key)
			}
		}
		if err := found.Err(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// unfulfilled are the orders of the table, from that id on, that are not fulfilled, and
// how many orders there are.
func (c *clients) unfulfilled(ctx context.Context, base int64) (open []int64, all int, err error) {
	if err := c.db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE id >= $1`, base).Scan(&all); err != nil {
		return nil, 0, err
	}
	rows, err := c.db.Query(ctx, `SELECT id FROM orders WHERE id >= $1 AND status IS DISTINCT FROM 'fulfilled' ORDER BY id LIMIT 1000`, base)
	if err != nil {
		return nil, 0, err
	}
	open, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	return open, all, err
}

// persist tries again until it succeeds or ctx is done: servers are away at times.
func persist(ctx context.Context, what string, try func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := try(once)
		cancel()
		if err == nil {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// sleep waits for d and reports true, or false as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// slot is the name of the place in that of a life: "worker-2" in "worker-2.5".
func slot(life string) string {
	name, _, _ := strings.Cut(life, ".")
	return name
}
