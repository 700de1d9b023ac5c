package config_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/config"
)

// env is an environment.
type env map[string]string

func (e env) get(name string) string { return e[name] }

func load(t *testing.T, e env) config.Config {
	t.Helper()
	c, err := config.Load(e.get)
	if err != nil {
		t.Fatalf("Load(%v): %v", e, err)
	}
	return c
}

func TestLoad_defaults(t *testing.T) {
	t.Parallel()
	c := load(t, env{})
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"POSTGRES_HOST", c.PostgresHost, "postgres"},
		{"POSTGRES_PORT", c.PostgresPort, 5432},
		{"POSTGRES_USER", c.PostgresUser, "orders"},
		{"POSTGRES_PASSWORD", c.PostgresPassword.Reveal(), ""},
		{"POSTGRES_DB", c.PostgresDB, "orders"},
		{"POSTGRES_SSLMODE", c.PostgresSSLMode, "prefer"},
		{"DATABASE_URL", c.DatabaseURL.Reveal(), ""},
		{"POSTGRES_MAX_CONNS", c.PostgresMaxConns, 5},
		{"POSTGRES_MIN_CONNS", c.PostgresMinConns, 1},
		{"REDIS_URL", c.RedisURL.Reveal(), "redis://redis:6379"},
		{"REDIS_MODE", c.RedisMode, "single"},
		{"REDIS_SENTINEL_MASTER", c.RedisSentinelMaster, ""},
		{"QUEUE_NAME", c.QueueName, "fulfillment_queue"},
		{"WORKER_CONCURRENCY", c.Concurrency, 10},
		{"PROCESSING_MIN", c.ProcessingMin, 500 * time.Millisecond},
		{"PROCESSING_MAX", c.ProcessingMax, 2 * time.Second},
		{"FULFILLMENT_URL", c.FulfillmentURL.Reveal(), ""},
		{"ORDER_TIMEOUT", c.OrderTimeout, 30 * time.Second},
		{"MAX_DELIVERIES", c.MaxDeliveries, 5},
		{"RETRY_INITIAL", c.RetryInitial, time.Second},
		{"RETRY_MAX", c.RetryMax, time.Minute},
		{"LEASE_TTL", c.LeaseTTL, 5 * time.Second},
		{"SHUTDOWN_TIMEOUT", c.ShutdownTimeout, 8 * time.Second},
		{"STARTUP_TIMEOUT", c.StartupTimeout, time.Minute},
		{"RECONCILE_INTERVAL", c.ReconcileInterval, time.Minute},
		{"RECONCILE_AFTER", c.ReconcileAfter, 5 * time.Minute},
		{"MAX_MESSAGE_BYTES", c.MaxMessageBytes, 65536},
		{"HTTP_ADDR", c.HTTPAddr, ":8080"},
		{"PPROF_ADDR", c.PprofAddr, "off"},
		{"LOG_LEVEL", c.LogLevel, slog.LevelInfo},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("the defaults are unwise: %q", w)
	}
}

func TestSettings_areNamedOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range config.Settings {
		if seen[s.Name] || s.Name == "" || s.Doc == "" {
			t.Errorf("%q is there twice, or has no name or no doc", s.Name)
		}
		seen[s.Name] = true
	}
}

func TestLoad_limits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("q", 200)
	tests := []struct {
		name    string
		accepts []string
		refuses []string
	}{
		{"POSTGRES_PORT", []string{"1", "65535"}, []string{"0", "65536", "-1", "x", "5432.0", " 5432", "99999999999999999999"}},
		{"POSTGRES_SSLMODE", []string{"disable", "allow", "prefer", "require", "verify-full"}, []string{"on", "PREFER", "verify"}},
		{"POSTGRES_MAX_CONNS", []string{"1", "1000"}, []string{"0", "1001", "many"}},
		{"POSTGRES_MIN_CONNS", []string{"1", "1000"}, []string{"0", "1001", "-1"}},
		{"DATABASE_URL", []string{"postgres://a:b@c:1/d", "postgresql://c/d?sslmode=disable"}, []string{"postgres://a:b@c:port/d", "mysql", "http://c/d", "postgres://c/d?sslmode=maybe"}},
		{"REDIS_URL", []string{"redis://a", "rediss://a:1/2", "redis://u:p@a:1"}, []string{"a:6379", "http://a", "redis://a/x", "redis://a:1,redis://b:2", "://"}},
		{"REDIS_MODE", []string{"single", "cluster"}, []string{"Cluster", "both"}},
		{"QUEUE_NAME", []string{"q", long, "{shop}:orders", "a{b}c", "*?[x]"}, []string{long + "q", "two words", "täg", "a\n", "{}", "{a", "a}", "{a}{b}", "{{a}}", "}a{"}},
		{"WORKER_ID", []string{"w", "A.b_c-9", strings.Repeat("w", 64)}, []string{strings.Repeat("w", 65), "a b", "a:b", "ä", "a/b", "{a}"}},
		{"WORKER_CONCURRENCY", []string{"1", "4096"}, []string{"0", "4097", "ten", "1e3"}},
		{"PROCESSING_MIN", []string{"0", "0s", "2s"}, []string{"-1ns", "24h0m1s", "500", "1d"}},
		{"PROCESSING_MAX", []string{"500ms", "24h"}, []string{"-1s", "24h0m1s", "2"}},
		{"FULFILLMENT_URL", []string{"http://a", "https://u:p@a:1/b?c=d"}, []string{"a", "ftp://a", "http://", "http:a", "http://a b", "://"}},
		{"ORDER_TIMEOUT", []string{"100ms", "24h"}, []string{"99.999ms", "24h0m1s", "0", "30"}},
		{"MAX_DELIVERIES", []string{"1", "1000"}, []string{"0", "1001"}},
		{"RETRY_INITIAL", []string{"10ms", "24h"}, []string{"9.999ms", "24h0m1s", "0"}},
		{"RETRY_MAX", []string{"10ms", "24h"}, []string{"9.999ms", "24h0m1s", "0"}},
		{"LEASE_TTL", []string{"1s", "10m"}, []string{"999ms", "10m0.001s", "0"}},
		{"SHUTDOWN_TIMEOUT", []string{"0", "1h"}, []string{"-1ms", "1h0m1s"}},
		{"STARTUP_TIMEOUT", []string{"0", "24h"}, []string{"-1ms", "24h0m1s"}},
		{"RECONCILE_INTERVAL", []string{"0", "0s", "1s", "24h"}, []string{"999ms", "24h0m1s", "-1s", "off"}},
		{"RECONCILE_AFTER", []string{"0", "1s", "24h"}, []string{"999ms", "24h0m1s", "-1s", "5"}},
		{"MAX_MESSAGE_BYTES", []string{"1024", "536870912"}, []string{"0", "1023", "536870913", "64k"}},
		{"HTTP_ADDR", []string{"off", ":0", ":65535", "127.0.0.1:80", "[::1]:80", "localhost:8080"}, []string{"8080", ":65536", ":-1", ":http", "a", "::1:80"}},
		{"DASHBOARD_TOKEN", []string{"", "sixteen letters."}, []string{"fifteen letters", "x"}},
		{"PPROF_ADDR", []string{"off", ":0", ":65535", "127.0.0.1:80", "[::1]:80", "localhost:8080"}, []string{"8080", ":65536", ":-1", ":http", "a", "::1:80"}},
		{"LOG_LEVEL", []string{"debug", "info", "warn", "error"}, []string{"INFO", "warning", "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range tt.accepts {
				if _, err := config.Load(env{tt.name: v}.get); err != nil {
					t.Errorf("%s=%s is refused: %v", tt.name, v, err)
				}
			}
			for _, v := range tt.refuses {
				_, err := config.Load(env{tt.name: v}.get)
				if err == nil {
					t.Errorf("%s=%s is accepted", tt.name, v)
				} else if text := err.Error(); !strings.HasPrefix(text, tt.name+": ") || strings.Contains(text, "\n") {
					t.Errorf("%s=%s: the error is %q, want one line that begins with the name", tt.name, v, text)
				}
			}
		})
	}
	free := []string{"POSTGRES_HOST", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "REDIS_SENTINEL_MASTER"}
	for _, s := range config.Settings {
		tested := slices.Contains(free, s.Name)
		for _, tt := range tests {
			tested = tested || tt.name == s.Name
		}
		if !tested {
			t.Errorf("the limits of %s are not tested", s.Name)
		}
	}
}

func TestLoad_namesAllThatIsWrong(t *testing.T) {
	t.Parallel()
	wrong := env{
		"POSTGRES_PORT": "x", "POSTGRES_SSLMODE": "x", "POSTGRES_MAX_CONNS": "x", "POSTGRES_MIN_CONNS": "x",
		"REDIS_MODE": "x", "QUEUE_NAME": "x y", "WORKER_ID": "x y", "WORKER_CONCURRENCY": "x", "PROCESSING_MIN": "x",
		"PROCESSING_MAX": "x", "FULFILLMENT_URL": "x", "ORDER_TIMEOUT": "x", "MAX_DELIVERIES": "x", "RETRY_INITIAL": "x",
		"RETRY_MAX": "x", "LEASE_TTL": "x", "SHUTDOWN_TIMEOUT": "x", "STARTUP_TIMEOUT": "x", "RECONCILE_INTERVAL": "x", "RECONCILE_AFTER": "x", "MAX_MESSAGE_BYTES": "x",
		"HTTP_ADDR": "x", "LOG_LEVEL": "x",
	}
	_, err := config.Load(wrong.get)
	if err == nil {
		t.Fatal("all is accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(wrong) {
		t.Errorf("%d lines, want %d:\n%v", len(lines), len(wrong), err)
	}
	for _, s := range config.Settings {
		if _, ok := wrong[s.Name]; !ok {
			continue
		}
		if !slices.ContainsFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, s.Name+": ") && strings.HasSuffix(l, "; it takes "+s.Accepts)
		}) {
			t.Errorf("no line names %s and what it takes:\n%v", s.Name, err)
		}
	}
}

func TestLoad_relations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  env
		want []string // beginnings of the error's lines
	}{
		{"work of one length", env{"PROCESSING_MIN": "1s", "PROCESSING_MAX": "1s"}, nil},
		{"no work at all", env{"PROCESSING_MIN": "0", "PROCESSING_MAX": "0"}, nil},
		{"a shortest time longer than the longest", env{"PROCESSING_MIN": "2001ms"}, []string{"PROCESSING_MIN: "}},
		{"sentinel without a master's name", env{"REDIS_MODE": "sentinel"}, []string{"REDIS_SENTINEL_MASTER: "}},
		{"sentinel with one", env{"REDIS_MODE": "sentinel", "REDIS_SENTINEL_MASTER": "m"}, nil},
		{"a master's name that nobody needs", env{"REDIS_SENTINEL_MASTER": "m"}, nil},
		{
			"all at once",
			env{"PROCESSING_MIN": "3s", "REDIS_MODE": "sentinel", "DATABASE_URL": "x://", "REDIS_URL": "x://"},
			[]string{"PROCESSING_MIN: ", "REDIS_SENTINEL_MASTER: ", "DATABASE_URL: ", "REDIS_URL: "},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(tt.env.get)
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(lines, tt.want, strings.HasPrefix) {
				t.Errorf("the errors are %q, want %q", lines, tt.want)
			}
		})
	}
}

func TestLoad_workerID(t *testing.T) {
	t.Parallel()
	if c := load(t, env{"WORKER_ID": "shelf.7"}); c.WorkerID != "shelf.7" {
		t.Errorf("the worker's name is %q, want shelf.7", c.WorkerID)
	}
	host := load(t, env{}).WorkerID
	if host == "" {
		t.Fatal("without WORKER_ID the worker has no name")
	}
	if again := load(t, env{"WORKER_ID": host}); again.WorkerID != host {
		t.Errorf("the host's name %q becomes %q", host, again.WorkerID)
	}
}

func TestLoad_emptyCountsAsUnset(t *testing.T) {
	t.Parallel()
	c := load(t, env{"POSTGRES_HOST": "", "REDIS_URL": "", "LOG_LEVEL": ""})
	if c.PostgresHost != "postgres" || c.RedisURL.Reveal() != "redis://redis:6379" || c.LogLevel != slog.LevelInfo {
		t.Error("an empty variable does not count as unset")
	}
}

func TestPostgres_options(t *testing.T) {
	t.Parallel()
	const odd = `a b:c/d?e=f&g#h%20@i"j'k\l+m;n,ö`
	type target struct {
		host               string
		port               uint16
		user, password, db string
		tls                bool
		most, least        int32
	}
	tests := []struct {
		name string
		env  env
		want target
	}{
		{"the defaults", env{}, target{"postgres", 5432, "orders", "", "orders", true, 5, 1}},
		{
			"each variable is used",
			env{
				"POSTGRES_HOST": "db", "POSTGRES_PORT": "1", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "d",
				"POSTGRES_SSLMODE": "disable", "POSTGRES_MAX_CONNS": "7", "POSTGRES_MIN_CONNS": "3",
			},
			target{"db", 1, "u", "p", "d", false, 7, 3},
		},
		{
			"odd characters",
			env{"POSTGRES_USER": odd, "POSTGRES_PASSWORD": odd, "POSTGRES_DB": odd, "POSTGRES_SSLMODE": "require"},
			target{"postgres", 5432, odd, odd, odd, true, 5, 1},
		},
		{
			"odd characters at the ends",
			env{"POSTGRES_USER": " u ", "POSTGRES_PASSWORD": " p ", "POSTGRES_DB": "/d/"},
			target{"postgres", 5432, " u ", " p ", "/d/", true, 5, 1},
		},
		{"an IPv6 address", env{"POSTGRES_HOST": "::1"}, target{"::1", 5432, "orders", "", "orders", true, 5, 1}},
		{
			"DATABASE_URL wins",
			env{"DATABASE_URL": "postgres://u:p%40@h:2/d?sslmode=disable", "POSTGRES_HOST": "x", "POSTGRES_PASSWORD": "x", "POSTGRES_MAX_CONNS": "2"},
			target{"h", 2, "u", "p@", "d", false, 2, 1},
		},
		{
			"no more are kept open than there may be",
			env{"POSTGRES_MAX_CONNS": "2", "POSTGRES_MIN_CONNS": "3"},
			target{"postgres", 5432, "orders", "", "orders", true, 2, 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := load(t, tt.env)
			p := c.Postgres()
			conn := p.ConnConfig
			got := target{conn.Host, conn.Port, conn.User, conn.Password, conn.Database, conn.TLSConfig != nil, p.MaxConns, p.MinConns}
			if got != tt.want {
				t.Errorf("the pool goes to %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestConfig_givesNewOptionsEachTime(t *testing.T) {
	t.Parallel()
	c := load(t, env{})
	c.Postgres().MaxConns = 99
	c.Redis().DB = 9
	if c.Postgres().MaxConns != 5 || c.Redis().DB != 0 {
		t.Error("a change of the options reached the configuration")
	}
}

func TestRedis_options(t *testing.T) {
	t.Parallel()
	type target struct {
		addrs          string
		db             int
		user, password string
		tls, cluster   bool
		master         string
	}
	tests := []struct {
		name string
		env  env
		want target
	}{
		{"the default", env{}, target{addrs: "redis:6379"}},
		{"a host alone", env{"REDIS_URL": "redis://h"}, target{addrs: "h:6379"}},
		{
			"a user, a password and a database",
			env{"REDIS_URL": "redis://u:p%40%2F@h:1/2"},
			target{addrs: "h:1", db: 2, user: "u", password: "p@/"},
		},
		{"a password alone", env{"REDIS_URL": "redis://:p@h:1"}, target{addrs: "h:1", password: "p"}},
		{"TLS", env{"REDIS_URL": "rediss://h:1"}, target{addrs: "h:1", tls: true}},
		{"a cluster behind one address", env{"REDIS_URL": "redis://h:1", "REDIS_MODE": "cluster"}, target{addrs: "h:1", cluster: true}},
		{
			"a cluster behind several",
			env{"REDIS_URL": "redis://:p@a:1, redis://b:2,c:3,d", "REDIS_MODE": "cluster"},
			target{addrs: "a:1 b:2 c:3 d:6379", password: "p", cluster: true},
		},
		{
			"a cluster with TLS",
			env{"REDIS_URL": "rediss://a:1,rediss://b:2", "REDIS_MODE": "cluster"},
			target{addrs: "a:1 b:2", tls: true, cluster: true},
		},
		{
			"sentinels",
			env{"REDIS_URL": "redis://:p@a:1/3,b:2", "REDIS_MODE": "sentinel", "REDIS_SENTINEL_MASTER": "m"},
			target{addrs: "a:1 b:2", db: 3, password: "p", master: "m"},
		},
		{"a master's name without sentinels", env{"REDIS_SENTINEL_MASTER": "m"}, target{addrs: "redis:6379"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := load(t, tt.env)
			o := c.Redis()
			got := target{strings.Join(o.Addrs, " "), o.DB, o.Username, o.Password, o.TLSConfig != nil, o.IsClusterMode, o.MasterName}
			if got != tt.want {
				t.Errorf("Redis is %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRedis_refusesAnEmptyAddress(t *testing.T) {
	t.Parallel()
	for _, urls := range []string{"redis://a:1,", "redis://a:1,,redis://b:1", ",redis://a:1"} {
		if _, err := config.Load(env{"REDIS_URL": urls, "REDIS_MODE": "cluster"}.get); err == nil {
			t.Errorf("REDIS_URL=%s is accepted", urls)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  env
		want []string // beginnings
	}{
		{"the defaults", env{}, nil},
		{"work that cannot end in time", env{"PROCESSING_MAX": "31s"}, []string{"PROCESSING_MAX 31s "}},
		{"simulated work does not count where there is real work", env{"PROCESSING_MAX": "31s", "FULFILLMENT_URL": "http://a"}, nil},
		{"a reconciler more impatient than an order may take", env{"RECONCILE_AFTER": "34s"}, []string{"RECONCILE_AFTER 34s "}},
		{"a reconciler that takes the only connection", env{"POSTGRES_MAX_CONNS": "1"}, []string{"POSTGRES_MAX_CONNS is 1"}},
		{"no reconciler", env{"POSTGRES_MAX_CONNS": "1", "RECONCILE_AFTER": "1s", "RECONCILE_INTERVAL": "0"}, nil},
		{"a first retry later than the last", env{"RETRY_INITIAL": "2m"}, []string{"RETRY_INITIAL 2m0s "}},
		{"more connections kept than there may be", env{"POSTGRES_MIN_CONNS": "6"}, []string{"POSTGRES_MIN_CONNS 6 "}},
		{"real work that is cut off at every stop", env{"SHUTDOWN_TIMEOUT": "0", "FULFILLMENT_URL": "http://a"}, []string{"SHUTDOWN_TIMEOUT is 0"}},
		{
			"several at once",
			env{"PROCESSING_MAX": "1m", "RETRY_MAX": "10ms", "POSTGRES_MAX_CONNS": "1", "POSTGRES_MIN_CONNS": "2"},
			[]string{"PROCESSING_MAX ", "POSTGRES_MAX_CONNS ", "RETRY_INITIAL ", "POSTGRES_MIN_CONNS "},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := load(t, tt.env)
			if got := c.Warnings(); !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("the warnings are %q, want %q", got, tt.want)
			}
		})
	}
}
