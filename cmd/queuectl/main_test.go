package main

import (
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain is queuectl itself where a script calls it by that name, and else runs
// the tests.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "queuectl" {
		main()
	}
	testenv.Main(m)
}

// TestScripts runs the sessions in testdata, each with a queue and a database to
// itself.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	must(t, os.Symlink(self, filepath.Join(bin, "queuectl")))
	scripts, err := filepath.Abs("../../scripts")
	must(t, err)
	lua, err := filepath.Abs("../../internal/queue/lua")
	must(t, err)

	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			redisURL, queue := testenv.Redis(tb)
			env.Setenv("REDIS_URL", redisURL)
			env.Setenv("QUEUE_NAME", queue)
			env.Setenv("DATABASE_URL", testenv.Database(tb))
			env.Setenv("SCRIPTS", scripts)
			env.Setenv("LUA", lua)
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector adds a second to each call
			env.Values[theTest] = tb
			env.Values[theTerminal] = new(*terminal)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"queued": queued,
			"sql":    sql,
			"pooled": pooled,

			"onterminal": onTerminal,
			"sees":       sees,
			"types":      types,
			"resizes":    resizes,
			"terminates": terminates,
			"ends":       ends,
			"colourful":  colourful,
		},
		RequireUniqueNames: true,
	})
}

// theTest is the key of a script's testing.TB.
const theTest = "test"

func testOf(ts *testscript.TestScript) testing.TB { return ts.Value(theTest).(testing.TB) }

// exits is "exits <code> <program> <args>": the program must exit with that code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits %d, want %d", args[1], got, want)
	}
}

// queued is "queued <n>": wait until the queue holds so many messages.
func queued(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	tb := testOf(ts)
	rdb := testenv.RedisClient(tb, ts.Getenv("REDIS_URL"))
	testenv.Eventually(tb, 20*time.Second, "queued: "+args[0], func() bool {
		n, err := rdb.LLen(tb.Context(), ts.Getenv("QUEUE_NAME")).Result()
		return err == nil && n >= want
	})
}

// sql is "sql <statement>", run as the superuser.
func sql(ts *testscript.TestScript, _ bool, args []string) {
	ctx := testOf(ts).Context()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, args[0])
	ts.Check(err)
}

// pooled puts a PgBouncer before PostgreSQL, which has one connection for all; sql does not
// work through it.
func pooled(ts *testscript.TestScript, _ bool, _ []string) {
	direct := ts.Getenv("DATABASE_URL")
	u, err := url.Parse(direct)
	ts.Check(err)
	ts.Setenv("DATABASE_URL", testenv.PgBouncer(testOf(ts), u.Host, "default_pool_size=1").URL(direct))
}

// TestRun_silentServers meets servers that take the connection and never answer.
func TestRun_silentServers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	env := map[string]string{
		"REDIS_URL":    "redis://:canary@" + l.Addr().String(),
		"DATABASE_URL": "postgres://orders:canary@" + l.Addr().String() + "/orders?sslmode=disable",
	}
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"status"}, strings.NewReader(""), &stdout, &stderr, func(name string) string { return env[name] })
	want := "queuectl: Redis: no answer in time; PostgreSQL: no answer in time\n"
	if code != exitFailed || stdout.String() != "" || stderr.String() != want {
		t.Errorf("it exits %d and says %q on standard error, want %d and %q", code, stderr.String(), exitFailed, want)
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"0b6c-äöü", "0b6c-äöü"},
		{"red \x1b[31m", `"red \x1b[31m"`},
		{"two\nlines", `"two\nlines"`},
		{"not UTF-8 \xff", `"not UTF-8 \xff"`},
		{strings.Repeat("x", 81), strings.Repeat("x", 80) + "…"},
	}
	for _, tt := range tests {
		if got := harmless(tt.text); got != tt.want {
			t.Errorf("harmless(%q) is %s, want %s", tt.text, got, tt.want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
