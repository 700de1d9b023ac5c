package servers

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// ownerVariable makes this test binary a process that owns servers, for
// TestServers_dieWithTheirOwner to kill.
const ownerVariable = "SERVERS_TEST_OWNER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		own(dir)
	}
	os.Exit(m.Run())
}

func TestRedis_killAndRestart(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(tempDir(t))
	must(t, err)
	t.Cleanup(r.Stop)
	rdb := client(t, r)
	must(t, rdb.Set(t.Context(), "k", "v", 0).Err())
	addr := r.Addr()

	r.Kill()
	if err := rdb.Ping(t.Context()).Err(); err == nil {
		t.Error("a killed Redis answers")
	}
	if err := r.Pause(); err == nil {
		t.Error("a killed Redis can be paused")
	}
	r.Kill() // again does nothing

	must(t, r.Restart())
	if r.Addr() != addr {
		t.Errorf("it came back at %s, was at %s", r.Addr(), addr)
	}
	if got, err := rdb.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("after the restart k is %q, %v, want v", got, err)
	}
	must(t, r.Restart()) // while it runs
	must(t, rdb.Get(t.Context(), "k").Err())
}

func TestRedis_pauseAndResume(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(tempDir(t))
	must(t, err)
	t.Cleanup(r.Stop)
	rdb := client(t, r)
	must(t, rdb.Ping(t.Context()).Err())

	must(t, r.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := rdb.Ping(ctx).Err(); err == nil {
		t.Error("a paused Redis answers")
	}
	must(t, r.Resume())
	must(t, rdb.Ping(t.Context()).Err())

	must(t, r.Pause())
	r.Stop() // of a paused one ends it too
	if err := r.Resume(); err == nil {
		t.Error("a stopped Redis can be resumed")
	}
}

func TestRedis_isFitForAQueue(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(tempDir(t), "--appendfsync", "always")
	must(t, err)
	t.Cleanup(r.Stop)
	rdb := client(t, r)
	for name, want := range map[string]string{
		"maxmemory-policy": "noeviction", "appendonly": "yes", "save": "", "appendfsync": "always",
	} {
		got, err := rdb.ConfigGet(t.Context(), name).Result()
		must(t, err)
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestStart_errors(t *testing.T) {
	t.Parallel()
	_, err := StartRedis(tempDir(t), "--no-such-option", "1")
	wantError(t, err, "no-such-option") // from its log
	_, err = binary("no-such-server")
	wantError(t, err, "no-such-server", "scripts/install-servers.sh")

	if os.Geteuid() == 0 {
		private := filepath.Join(tempDir(t), "private")
		must(t, os.Mkdir(private, 0o700))
		_, err = StartPostgres(private)
		wantError(t, err, "may not enter "+private)
	}
}

// One cluster serves all that is said of PostgreSQL: making one takes a second.
func TestPostgres(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, err := StartPostgres(tempDir(t), "work_mem=5MB")
	must(t, err)
	t.Cleanup(p.Stop)

	conn := connect(t, p)
	for range 2 { // the schema may be there already
		_, err = conn.Exec(ctx, OrdersSchema)
		must(t, err)
	}
	_, err = conn.Exec(ctx, `INSERT INTO orders (product_id, quantity) VALUES (3, 2)`)
	must(t, err)
	var settings string
	must(t, conn.QueryRow(ctx, `SELECT concat_ws(' ', current_setting('work_mem'), current_setting('fsync'),
		current_setting('server_encoding'), current_setting('lc_collate'))`).Scan(&settings))
	if settings != "5MB on UTF8 C" {
		t.Errorf("settings are %q", settings)
	}

	t.Run("a pause stops every process, and a crash takes all", func(t *testing.T) {
		must(t, p.Pause())
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := conn.Exec(short, `SELECT 1`); err == nil {
			t.Error("a paused PostgreSQL answers")
		}
		must(t, p.Resume())

		_ = connect(t, p)
		kids := children(p.child.process.Pid)
		if len(kids) < 2 {
			t.Fatalf("it has the children %v, want some", kids)
		}
		must(t, p.Pause())
		p.Kill()
		if !all(kids, gone) {
			t.Errorf("of the children %v one is left", kids)
		}
	})

	t.Run("a restart keeps the data", func(t *testing.T) {
		for range 2 { // once after the crash, once while it runs
			must(t, p.Restart())
			var status string
			must(t, connect(t, p).QueryRow(ctx, `SELECT status FROM orders WHERE id = 1`).Scan(&status))
			if status != "pending" {
				t.Errorf("the order is %q, want pending", status)
			}
		}
	})

	t.Run("a stop leaves nothing behind", func(t *testing.T) {
		p.Kill()
		p.Stop()
		if _, err := os.Stat(filepath.Join(filepath.Dir(p.log), "postgres", "postmaster.pid")); err == nil {
			t.Error("postmaster.pid is there")
		}
	})
}

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p, err := StartPostgres(tempDir(t), "fsync=off")
	must(t, err)
	t.Cleanup(p.Stop)
	b, err := StartPgBouncer(tempDir(t), p.Addr(), "postgres", "default_pool_size=1")
	must(t, err)
	t.Cleanup(b.Stop)
	url := b.URL(p.URL("postgres"))

	var first, second int // whom each of two connections talks to
	for _, pid := range []*int{&first, &second} {
		conn, err := pgx.Connect(ctx, url)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		must(t, conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(pid))
	}
	if first != second {
		t.Errorf("two connections share no connection to PostgreSQL: %d and %d", first, second)
	}

	b.Kill()
	if conn, err := pgx.Connect(ctx, url); err == nil {
		_ = conn.Close(ctx)
		t.Error("a killed PgBouncer answers")
	}
	must(t, b.Restart())
	conn, err := pgx.Connect(ctx, url)
	must(t, err)
	must(t, conn.Close(ctx))

	_, err = StartPgBouncer(tempDir(t), p.Addr(), "postgres", "no_such_setting=1")
	wantError(t, err, "no_such_setting") // from its log
}

func TestServers_dieWithTheirOwner(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	dir := tempDir(t)
	cmd.Env = append(os.Environ(), ownerVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	var pids []int
	for _, f := range strings.Fields(line) {
		pid, err := strconv.Atoi(f)
		must(t, err)
		pids = append(pids, pid)
	}
	if len(pids) < 4 || gone(pids[0]) || gone(pids[1]) {
		t.Fatalf("the owner started %v", pids)
	}

	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if !poll(10*time.Second, func() bool { return all(pids, gone) }) {
		t.Errorf("of the processes %v some outlived their owner", pids)
	}
	(&cluster{data: filepath.Join(dir, "postgres")}).sweep()
}

// own starts both servers, pauses PostgreSQL, prints all process ids, and waits to
// be killed.
func own(dir string) {
	r, err := StartRedis(dir)
	var p *Postgres
	if err == nil {
		p, err = StartPostgres(dir, "fsync=off")
	}
	if err == nil {
		err = p.Pause()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pids := append([]int{r.child.process.Pid, p.child.process.Pid}, children(p.child.process.Pid)...)
	fmt.Println(strings.Trim(fmt.Sprint(pids), "[]"))
	select {}
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := TempDir()
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func client(t *testing.T, r *Redis) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(r.URL())
	must(t, err)
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = -1, 1 // a dead server is dead
	rdb := redis.NewClient(o)
	t.Cleanup(func() { must(t, rdb.Close()) })
	return rdb
}

func connect(t *testing.T, p *Postgres) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error is %v, want one with %q", err, word)
		}
	}
}
