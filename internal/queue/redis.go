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
// is all that is taken from there. Nothing is connected yet.
func Dial(opts *redis.UniversalOptions, concurrency int) Redis {
	return Redis{
		control:  redis.NewUniversalClient(Harden(*opts, min(concurrency, 64)+4)),
		blocking: redis.NewUniversalClient(Harden(*opts, 3)), // the claim and the heartbeat
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
	line, err := r.info(ctx, name, "server", "redis_version")
	if err != nil {
		return err
	}
	_, version, _ := strings.Cut(line, ":")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 7 {
		return fmt.Errorf("%w: it is %s", ErrTooOld, version)
	}
	return nil
}

// Fit returns nil if Redis answers and may hold the queue: it is a master, and it
// does not evict keys when its memory is full. Otherwise the error says what is
// wrong.
func (r Redis) Fit(ctx context.Context, name string) error {
	for section, want := range map[string]string{
		"replication": "role:master",
		"memory":      "maxmemory_policy:noeviction",
	} {
		field, _, _ := strings.Cut(want, ":")
		got, err := r.info(ctx, name, section, field)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("redis is not fit: it says %q, must say %q", got, want)
		}
	}
	return nil
}

// info is the line "field:value" of a section of INFO, of the node that holds the key.
func (r Redis) info(ctx context.Context, key, section, field string) (string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	node, err := master(ctx, r.control, key)
	if err != nil {
		return "", err
	}
	info, err := node.Info(ctx, section).Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if strings.HasPrefix(line, field+":") {
			return strings.TrimSpace(line), nil
		}
	}
	return field + ":?", nil
}

// RedirectLogs sends what go-redis would print as plain text to the log, as debug
// lines: what matters of it comes back as an error. It holds for the whole process.
func RedirectLogs(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "go-redis says", "text", fmt.Sprintf(format, args...))
}
