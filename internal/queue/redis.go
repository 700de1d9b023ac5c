package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// commandTimeout bounds each command that does not block.
const commandTimeout = 2 * time.Second

// Redis is a pair of clients for one Redis: a blocked claim must never keep an
// acknowledgement or a heartbeat waiting for a connection.
type Redis struct {
	control  redis.UniversalClient
	blocking redis.UniversalClient
}

// Dial returns clients for the Redis that opts names; where to connect and as whom
// is all that is taken from there. Nothing is connected yet. Longest is the length of the
// longest message that is read.
func Dial(opts *redis.UniversalOptions, concurrency, longest int) Redis {
	blocking := guard(Harden(*opts, 3), longest) // the claim and the heartbeat
	blocking.ReadTimeout = blockFor + blockSlack // a pipeline goes by this, and by none of its commands
	return Redis{
		control:  redis.NewUniversalClient(Harden(*opts, min(concurrency, 64)+4)),
		blocking: redis.NewUniversalClient(blocking),
	}
}

// Harden returns o with every time-out set, and with every repetition turned off that
// go-redis would make by itself: a BLMOVE sent again after a lost reply takes a second
// message.
func Harden(o redis.UniversalOptions, connections int) *redis.UniversalOptions {
	o.MaxRetries = -1
	o.DialTimeout = commandTimeout
	o.DialerRetries = 1
	o.ReadTimeout = commandTimeout
	o.WriteTimeout = commandTimeout
	o.ContextTimeoutEnabled = true
	o.PoolSize = connections
	o.PoolTimeout = commandTimeout
	o.DisableIdentity = true
	// Its relaxed time-outs would replace those of the commands.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}

// Close closes both clients.
func (r Redis) Close() {
	_ = r.control.Close()
	_ = r.blocking.Close()
}

// master is the client of the one node that holds the key. Commands that must not be
// repeated go there: a ClusterClient repeats what failed, MaxRetries or not, while
// the clients of its nodes do not.
func master(ctx context.Context, client redis.UniversalClient, key string) (*redis.Client, error) {
	switch c := client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	default:
		return nil, fmt.Errorf("%T has no master", client)
	}
}

// ErrTooOld means that the Redis is older than 7.0, whose scripts say themselves that a
// full memory does not stop them.
var ErrTooOld = errors.New("redis is older than 7.0")

// Usable returns nil if Redis answers and can run the scripts, and [ErrTooOld] if it
// never will.
func (r Redis) Usable(ctx context.Context, name string) error {
	facts, err := r.info(ctx, name, "server")
	if err != nil {
		return err
	}
	version := facts["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 7 {
		return fmt.Errorf("%w: it is %s", ErrTooOld, version)
	}
	return nil
}

// fitness is what INFO must say of a Redis that may hold the queue, and what to do
// where it says something else.
var fitness = []struct{ field, value, remedy string }{
	{"role", "master", "let REDIS_URL name the master"},
	{"maxmemory_policy", "noeviction", "set maxmemory-policy noeviction, or it may throw the queue away"},
}

// Fit returns nil if Redis answers and may hold the queue: it is a master, does not evict
// keys when its memory is full, and lets the worker write. Otherwise the error says what
// is wrong.
func (r Redis) Fit(ctx context.Context, name string) error {
	facts, err := r.info(ctx, name, "replication", "memory")
	if err != nil {
		return err
	}
	for _, must := range fitness {
		if got := facts[must.field]; got != must.value {
			return fmt.Errorf("redis is not fit: its %s is %q: %s", must.field, got, must.remedy)
		}
	}
	return r.writable(ctx, name)
}

// writable returns nil if Redis would carry out a change now. Reads tell nothing of that:
// it answers them while it loads its data, or cannot write to its disk.
func (r Redis) writable(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return lookScript.Run(ctx, r.control, []string{NewKeys(name).Workers()}).Err()
}

// Durable returns nil if Redis keeps on disk what it has confirmed.
func (r Redis) Durable(ctx context.Context, name string) error {
	facts, err := r.info(ctx, name, "persistence")
	if err == nil && facts["aof_enabled"] != "1" {
		err = errors.New("appendonly is off, a crash of Redis may cost any message: set appendonly yes")
	}
	return err
}

// info reads sections of INFO, of the node that holds the key.
func (r Redis) info(ctx context.Context, key string, sections ...string) (map[string]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	node, err := master(ctx, r.control, key)
	if err != nil {
		return nil, err
	}
	info, err := node.Info(ctx, sections...).Result()
	if err != nil {
		return nil, err
	}
	facts := map[string]string{}
	for line := range strings.Lines(info) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		facts[field] = value
	}
	return facts, nil
}

// RedirectLogs sends what go-redis would print as plain text to the log, as debug
// lines: what matters of it comes back as an error. It holds for the whole process.
func RedirectLogs(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "go-redis says", "text", fmt.Sprintf(format, args...))
}
