// Package config turns the environment into the settings of the programs.
//
// # What callers may rely on
//
//   - [Settings] is the only list of variables: the parser reads it, the
//     worker's -help prints it, and a test holds the README's table against it. (What
//     begins with OTEL_ is OpenTelemetry's, and read by internal/traces.)
//   - What [Load] returns without an error is in range, and any combination of
//     it starts; [Config.Warnings] says which are unwise.
//   - A secret shows in no error and under no formatting verb.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// Config is every setting of the programs. Load makes one.
type Config struct {
	DatabaseURL      Secret
	PostgresHost     string
	PostgresPort     int
	PostgresUser     string
	PostgresPassword Secret
	PostgresDB       string
	PostgresSSLMode  string
	PostgresMaxConns int
	PostgresMinConns int

	RedisURL            Secret
	RedisMode           string
	RedisSentinelMaster string
	QueueName           string

	WorkerID        string
	Concurrency     int
	ProcessingMin   time.Duration
	ProcessingMax   time.Duration
	FulfillmentURL  Secret // it may hold credentials
	OrderTimeout    time.Duration
	MaxDeliveries   int
	RetryInitial    time.Duration
	RetryMax        time.Duration
	LeaseTTL        time.Duration
	ShutdownTimeout time.Duration
	StartupTimeout  time.Duration
	MaxMessageBytes int

	ReconcileInterval time.Duration // 0: never
	ReconcileAfter    time.Duration // 0: never

	HTTPAddr       string
	DashboardToken Secret
	PprofAddr      string
	LogLevel       slog.Level

	// functions, because a verb that does not fit would print what a pointer points to
	postgres func() *pgxpool.Config
	redis    func() *redis.UniversalOptions

	shown []Shown
}

// Setting is one environment variable.
type Setting struct {
	Name    string
	Default string
	Doc     string // what it is, in a few words; Markdown
	Accepts string // which values it takes; "" where Doc says all
	set     func(*Config, string) error
}

// Settings lists every variable, in the order in which the README shows them.
var Settings = []Setting{
	{"POSTGRES_HOST", "postgres", "PostgreSQL's host", "a host name or address", text(func(c *Config) *string { return &c.PostgresHost })},
	{"POSTGRES_PORT", "5432", "its port", "1 to 65535", number(65535, func(c *Config) *int { return &c.PostgresPort })},
	{"POSTGRES_USER", "orders", "the role; it needs `SELECT` and `UPDATE (status, updated_at)` on `orders`", "a role's name", text(func(c *Config) *string { return &c.PostgresUser })},
	{"POSTGRES_PASSWORD", "", "its password", "", secret(func(c *Config) *Secret { return &c.PostgresPassword })},
	{"POSTGRES_DB", "orders", "the database", "a database's name", text(func(c *Config) *string { return &c.PostgresDB })},
	{"POSTGRES_SSLMODE", "prefer", "as libpq's `sslmode`", "disable, allow, prefer, require, verify-ca or verify-full", oneOf([]string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}, func(c *Config) *string { return &c.PostgresSSLMode })},
	{"DATABASE_URL", "", "wins over all of the above where set", "a PostgreSQL URL", secret(func(c *Config) *Secret { return &c.DatabaseURL })},
	{"POSTGRES_MAX_CONNS", "5", "connections to PostgreSQL at most, but for one more while somebody watches the live page", "1 to 1000", number(1000, func(c *Config) *int { return &c.PostgresMaxConns })},
	{"POSTGRES_MIN_CONNS", "1", "connections kept open", "1 to 1000", number(1000, func(c *Config) *int { return &c.PostgresMinConns })},

	{"REDIS_URL", "redis://redis:6379", "Redis, also `rediss://`; comma-separated addresses in the modes `cluster` and `sentinel`", "a redis:// or rediss:// URL", secret(func(c *Config) *Secret { return &c.RedisURL })},
	{"REDIS_MODE", "single", "what stands behind `REDIS_URL`", "single, cluster or sentinel", oneOf([]string{"single", "cluster", "sentinel"}, func(c *Config) *string { return &c.RedisMode })},
	{"REDIS_SENTINEL_MASTER", "", "the master's name, for the mode `sentinel`", "a name", text(func(c *Config) *string { return &c.RedisSentinelMaster })},
	{"QUEUE_NAME", "fulfillment_queue", "the list to consume", "1 to 200 printable characters without blanks, with no braces or one hash tag", queueName},

	{"WORKER_ID", "", "this worker's name; the host's name where empty", "letters, digits, '.', '_' and '-', at most 64", workerID},
	{"WORKER_CONCURRENCY", "10", "orders in hand at once", "1 to 4096", number(4096, func(c *Config) *int { return &c.Concurrency })},
	{"PROCESSING_MIN", "500ms", "simulated work: its shortest time", "0 to 24h", duration(0, day, func(c *Config) *time.Duration { return &c.ProcessingMin })},
	{"PROCESSING_MAX", "2s", "simulated work: its longest time; `0` is no work", "0 to 24h, at least PROCESSING_MIN", duration(0, day, func(c *Config) *time.Duration { return &c.ProcessingMax })},
	{"FULFILLMENT_URL", "", "real work instead: each order is sent there by `POST`", "an http:// or https:// URL", httpURL(func(c *Config) *Secret { return &c.FulfillmentURL })},
	{"ORDER_TIMEOUT", "30s", "the longest work on one order", "100ms to 24h", duration(100*time.Millisecond, day, func(c *Config) *time.Duration { return &c.OrderTimeout })},
	{"MAX_DELIVERIES", "5", "deliveries charged to a message before it becomes a dead letter", "1 to 1000", number(1000, func(c *Config) *int { return &c.MaxDeliveries })},
	{"RETRY_INITIAL", "1s", "wait before the first retry; it doubles each time, with jitter", "10ms to 24h", duration(10*time.Millisecond, day, func(c *Config) *time.Duration { return &c.RetryInitial })},
	{"RETRY_MAX", "1m", "longest wait before a retry", "10ms to 24h", duration(10*time.Millisecond, day, func(c *Config) *time.Duration { return &c.RetryMax })},
	{"LEASE_TTL", "5s", "a worker silent for so long is presumed dead; the heartbeat beats at a third of it", "1s to 10m", duration(time.Second, 10*time.Minute, func(c *Config) *time.Duration { return &c.LeaseTTL })},
	{"SHUTDOWN_TIMEOUT", "8s", "how long work in hand may go on after SIGTERM; keep it under the orchestrator's grace", "0 to 1h", duration(0, time.Hour, func(c *Config) *time.Duration { return &c.ShutdownTimeout })},
	{"STARTUP_TIMEOUT", "60s", "how long to wait for PostgreSQL and Redis at start", "0 to 24h", duration(0, day, func(c *Config) *time.Duration { return &c.StartupTimeout })},
	{"RECONCILE_INTERVAL", "1m", "pause between two looks for orders that Redis has lost; `0` is never", "0, or 1s to 24h", durationOrOff(time.Second, day, func(c *Config) *time.Duration { return &c.ReconcileInterval })},
	{"RECONCILE_AFTER", "5m", "how long nobody must have touched such an order; `0` turns the looks off, too", "0, or 1s to 24h", durationOrOff(time.Second, day, func(c *Config) *time.Duration { return &c.ReconcileAfter })},
	{"MAX_MESSAGE_BYTES", "65536", "a longer message is a dead letter, which no worker reads", "1024 to 536870912", between(1024, 512<<20, func(c *Config) *int { return &c.MaxMessageBytes })},

	{"HTTP_ADDR", ":8080", "where `/healthz`, `/readyz` and the live page are; `off` for nowhere", "host:port, :port or off", address(func(c *Config) *string { return &c.HTTPAddr })},
	{"DASHBOARD_TOKEN", "", "opens the live page to other machines, and its actions to anybody", "16 characters or more", token(func(c *Config) *Secret { return &c.DashboardToken })},
	{"PPROF_ADDR", "off", "where `/debug/pprof/` is, for whoever reaches it; better a loopback address", "host:port, :port or off", address(func(c *Config) *string { return &c.PprofAddr })},
	{"LOG_LEVEL", "info", "the least level that is logged; `SIGUSR1` switches to `debug` and back", "debug, info, warn or error", level},
}

const day = 24 * time.Hour

// Load reads every setting through getenv, usually [os.Getenv]; an empty variable
// counts as unset. Its error names all that is wrong, each with its variable and
// what it accepts, and never a value.
func Load(getenv func(string) string) (Config, error) {
	var c Config
	var errs []error
	for _, s := range Settings {
		if err := s.set(&c, cmp.Or(getenv(s.Name), s.Default)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w; it takes %s", s.Name, err, s.Accepts))
		}
	}
	if len(errs) == 0 { // what follows reads several of them
		errs = append(errs, c.checkRelations(), c.parsePostgres(), c.parseRedis())
	}
	err := errors.Join(errs...)
	if err == nil { // else a secret may stand in the wrong place
		c.shown = shown(getenv)
	}
	return c, err
}

func (c *Config) checkRelations() error {
	var errs []error
	if c.ProcessingMin > c.ProcessingMax {
		errs = append(errs, fmt.Errorf("PROCESSING_MIN: %v is more than PROCESSING_MAX, %v", c.ProcessingMin, c.ProcessingMax))
	}
	if c.RedisMode == "sentinel" && c.RedisSentinelMaster == "" {
		errs = append(errs, errors.New("REDIS_SENTINEL_MASTER: not set; REDIS_MODE=sentinel needs the master's name"))
	}
	return errors.Join(errs...)
}

// Warnings says what is allowed but unwise, a sentence each.
func (c *Config) Warnings() []string {
	var w []string
	warn := func(when bool, format string, args ...any) {
		if when {
			w = append(w, fmt.Sprintf(format, args...))
		}
	}
	warn(c.FulfillmentURL.Reveal() == "" && c.ProcessingMax > c.OrderTimeout, "PROCESSING_MAX %v is more than ORDER_TIMEOUT %v: some orders can only time out", c.ProcessingMax, c.OrderTimeout)
	warn(c.Reconciles() && c.ReconcileAfter < c.OrderTimeout+c.LeaseTTL, "RECONCILE_AFTER %v is less than ORDER_TIMEOUT and LEASE_TTL together, %v: after a loss in Redis an order may be worked by two workers, and is fulfilled by one", c.ReconcileAfter, c.OrderTimeout+c.LeaseTTL)
	warn(c.Reconciles() && c.PostgresMaxConns == 1, "POSTGRES_MAX_CONNS is 1: while the worker looks for what Redis has lost, it claims and finishes nothing")
	warn(c.RetryInitial > c.RetryMax, "RETRY_INITIAL %v is more than RETRY_MAX %v: every retry waits RETRY_MAX", c.RetryInitial, c.RetryMax)
	warn(c.PostgresMinConns > c.PostgresMaxConns, "POSTGRES_MIN_CONNS %d is more than POSTGRES_MAX_CONNS %d: that many are kept open", c.PostgresMinConns, c.PostgresMaxConns)
	warn(c.FulfillmentURL.Reveal() != "" && c.ShutdownTimeout == 0, "SHUTDOWN_TIMEOUT is 0: work in hand is cut off at every stop and done again elsewhere")
	return w
}

// Reconciles reports whether the worker looks for orders that Redis has lost.
func (c *Config) Reconciles() bool { return c.ReconcileInterval > 0 && c.ReconcileAfter > 0 }

// Postgres returns a new pool configuration: where to connect and as whom, and how
// many connections.
func (c *Config) Postgres() *pgxpool.Config { return c.postgres() }

// PostgresSeldom is [Config.Postgres] for what asks seldom: so many connections at most, none
// of them kept open, and no statement prepared, which a pooler between might lose.
func (c *Config) PostgresSeldom(conns int32) *pgxpool.Config {
	p := c.postgres()
	p.MinConns, p.MaxConns = 0, conns
	p.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	p.ConnConfig.RuntimeParams["DateStyle"] = "ISO, MDY" // pgx reads no other in what comes as text
	return p
}

// Redis returns new client options: where to connect and as whom.
func (c *Config) Redis() *redis.UniversalOptions { return c.redis() }

func (c *Config) parsePostgres() error {
	dsn, variable := c.DatabaseURL.Reveal(), "DATABASE_URL"
	if dsn == "" {
		variable = "POSTGRES_*"
		u := url.URL{
			Scheme:   "postgres",
			Host:     net.JoinHostPort(c.PostgresHost, strconv.Itoa(c.PostgresPort)),
			User:     url.UserPassword(c.PostgresUser, c.PostgresPassword.Reveal()),
			Path:     "/" + c.PostgresDB,
			RawQuery: "sslmode=" + c.PostgresSSLMode,
		}
		if c.PostgresPassword.Reveal() == "" {
			u.User = url.User(c.PostgresUser)
		}
		dsn = u.String()
	}
	p, err := pgxpool.ParseConfig(dsn)
	if err != nil { // the error quotes the URL
		return fmt.Errorf("%s: not a PostgreSQL URL, or a file it names cannot be read", variable)
	}
	p.MaxConns = int32(c.PostgresMaxConns)
	p.MinConns = min(int32(c.PostgresMinConns), p.MaxConns)
	c.postgres = p.Copy
	return nil
}

func (c *Config) parseRedis() error {
	bad := errors.New("REDIS_URL: not a redis:// or rediss:// URL, or a comma-separated list of them")
	if strings.Contains(c.RedisURL.Reveal(), "?") {
		return errors.New("REDIS_URL: has options behind a question mark; the worker sets them itself")
	}
	parts := strings.Split(c.RedisURL.Reveal(), ",")
	if len(parts) > 1 && c.RedisMode == "single" {
		return errors.New("REDIS_URL: has several addresses, which only REDIS_MODE cluster and sentinel know")
	}
	first, err := redis.ParseURL(c.withScheme(parts[0]))
	if err != nil { // the error quotes the URL
		return bad
	}
	if first.TLSConfig != nil && c.RedisMode != "single" {
		first.TLSConfig.ServerName = "" // each node is checked under its own name
	}
	o := &redis.UniversalOptions{
		Addrs:         []string{first.Addr},
		DB:            first.DB,
		Username:      first.Username,
		Password:      first.Password,
		TLSConfig:     first.TLSConfig,
		IsClusterMode: c.RedisMode == "cluster",
	}
	if c.RedisMode == "sentinel" {
		o.MasterName = c.RedisSentinelMaster
	}
	for _, part := range parts[1:] {
		other, err := redis.ParseURL(c.withScheme(part))
		if err != nil {
			return bad
		}
		o.Addrs = append(o.Addrs, other.Addr)
	}
	c.redis = func() *redis.UniversalOptions {
		fresh := *o
		return &fresh
	}
	return nil
}

// withScheme is one element of REDIS_URL, as a URL: where a list is allowed, host:port
// will do.
func (c *Config) withScheme(address string) string {
	address = strings.TrimSpace(address)
	if c.RedisMode == "single" || address == "" || strings.Contains(address, "://") {
		return address
	}
	return "redis://" + address
}

// hostName is this machine's name, made fit for a WORKER_ID.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "worker"
	}
	name = strings.Map(func(r rune) rune {
		if workerIDChar(r) {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 64)]
}
