package main_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5"
)

// patient is a site whose PostgreSQL falls ill, or the way to it. Its worker has a role
// of its own, so that most faults are this role's and need no server of their own.
type patient struct {
	*site
	health         health
	w              *worker
	role, database string
	server         interface { // where the test has its own
		Kill()
		Restart() error
	}
	proxy *testenv.Proxy // on the way to PostgreSQL
}

func newPatient(t *testing.T) *patient { return patientAt(t, testenv.Database(t)) }

// newPatientAlone has a server for itself.
func newPatientAlone(t *testing.T, settings ...string) *patient {
	server := testenv.OwnPostgres(t, settings...)
	p := patientAt(t, server.URL("orders"))
	p.server = server
	return p
}

func patientAt(t *testing.T, databaseURL string) *patient {
	redisURL, queueName := testenv.Redis(t)
	u, err := url.Parse(databaseURL)
	must(t, err)
	p := &patient{
		site: siteAt(t, redisURL, queueName, databaseURL), health: newHealth(t),
		database: strings.TrimPrefix(u.Path, "/"), proxy: testenv.NewProxy(t, u.Host),
	}
	p.role = "worker_of_" + p.database
	p.admin("CREATE ROLE " + p.role + " LOGIN PASSWORD 'old' IN ROLE " + testenv.WorkerRole)
	t.Cleanup(func() { p.admin("DROP ROLE " + p.role) })
	u.User, u.Host = url.UserPassword(p.role, "old"), p.proxy.Addr()
	u.RawQuery += "&default_query_exec_mode=exec" // the proxy can read each statement
	p.env = append(p.env, "DATABASE_URL="+u.String(), p.health.setting(), "LOG_LEVEL=debug", "LEASE_TTL=2s",
		"WORKER_CONCURRENCY=40", "PROCESSING_MIN=1s", "PROCESSING_MAX=1500ms", "STARTUP_TIMEOUT=30s")
	return p
}

// tryAdmin executes statements as the superuser, from another database.
func (p *patient) tryAdmin(statements ...string) error {
	ctx := context.WithoutCancel(p.Context()) // in a clean-up, too
	u, err := url.Parse(p.databaseURL)
	must(p, err)
	u.Path = "/postgres"
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *patient) admin(statements ...string) {
	p.Helper()
	must(p, p.tryAdmin(statements...))
}

// reconnect ends the worker's connections: those that follow see what was changed for
// its role.
func (p *patient) reconnect() {
	p.Helper()
	p.admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '` + p.role + `'`)
}

// forRole changes the role, as in "CONNECTION LIMIT 0".
func (p *patient) forRole(change string) {
	p.Helper()
	p.admin("ALTER ROLE " + p.role + " " + change)
	p.reconnect()
}

// hold runs a statement in a transaction that stays open until the returned function
// commits it.
func (p *patient) hold(statement string) (commit func()) {
	p.Helper()
	conn, err := pgx.Connect(p.Context(), p.databaseURL)
	must(p, err)
	_, err = conn.Exec(p.Context(), "SET session_replication_role = replica; BEGIN; "+statement) // no audit: it is no step
	must(p, err)
	return func() {
		p.Helper()
		_, err := conn.Exec(p.Context(), "COMMIT")
		must(p, err)
		must(p, conn.Close(p.Context()))
	}
}

// file writes a file of the server's configuration, which names where that stands.
func (p *patient) file(setting, name, text string) {
	p.Helper()
	var path string
	must(p, p.db.QueryRow(p.Context(), "SHOW "+setting).Scan(&path))
	must(p, os.WriteFile(filepath.Join(path, name), []byte(text), 0o644))
}

func (p *patient) queue(ids []int64) {
	p.Helper()
	for _, id := range ids {
		p.push(payload(id))
	}
}

// cpu is the processor time that the worker has used.
func (w *worker) cpu() time.Duration {
	var ticks int64
	for _, f := range w.stat()[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		must(w.t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// complained reports whether an error with that text is logged.
func (w *worker) complained(text string) bool {
	for _, l := range w.log("") {
		if strings.Contains(l.Error, text) {
			return true
		}
	}
	return false
}

// calm watches the worker for so long: it lives, and neither spins nor chatters.
func (p *patient) calm(d time.Duration) {
	p.Helper()
	cpu, lines := p.w.cpu(), len(p.w.log(""))
	for end := time.After(d); ; { // how long the outage lasts
		p.health.lives()
		select {
		case <-end:
			if used := p.w.cpu() - cpu; used > d/5 {
				p.Errorf("it used %v of a processor in an outage of %v", used, d)
			}
			if n := len(p.w.log("")) - lines; n > 60 {
				p.Errorf("it logged %d lines in an outage of %v", n, d)
			}
			return
		case <-time.After(100 * time.Millisecond): // between two looks
		}
	}
}

// workedOnce ends the worker, and fails unless each order was begun once, charged to
// nobody and given up by nobody.
func (p *patient) workedOnce(orders int) {
	p.Helper()
	p.nothingCharged()
	p.settled(p.w)
	if n := len(p.w.log("Processing order")); n != orders {
		p.Errorf("%d orders were begun %d times, want each once", orders, n)
	}
	if n := p.w.finished(); n != orders {
		p.Errorf("%d orders finished, want %d", n, orders)
	}
	if n := len(p.w.log("message failed")) + len(p.w.log("message is a dead letter")); n != 0 {
		p.Errorf("%d failures, want none", n)
	}
}

// postgresFault is something that may befall PostgreSQL, or the way to it.
type postgresFault struct {
	name     string
	alone    bool     // it needs a server of its own
	settings []string // of that
	env      []string // of the worker
	lasts    time.Duration
	says     string // evidence that the worker met it: a part of what is wrong, in its log or by /readyz
	ready    int    // what /readyz answers meanwhile
	strike   func(*patient) (heal func())
}

// connectionsForAll are so many that some are left when every order waits on one.
var connectionsForAll = []string{"POSTGRES_MAX_CONNS=50"}

const lockRows = "SELECT FROM orders FOR UPDATE"

var postgresFaults = []postgresFault{
	{
		name: "a black hole", lasts: 8 * time.Second, says: "postgres: ", ready: 503,
		strike: func(p *patient) func() {
			p.proxy.Deafen()
			return func() {
				if p.proxy.Held() == 0 {
					p.Error("nothing was held back: the fault did not happen")
				}
				p.proxy.Hear()
			}
		},
	},
	{
		name: "connections are refused to the role", says: "SQLSTATE 53300", ready: 503,
		strike: func(p *patient) func() {
			p.forRole("CONNECTION LIMIT 0")
			return func() { p.forRole("CONNECTION LIMIT -1") }
		},
	},
	{
		name: "every connection is somebody else's", alone: true, settings: []string{"max_connections=14"}, says: "SQLSTATE 53300", ready: 503,
		strike: takeAllConnections,
	},
	{
		name: "read-only", says: "it is read-only", ready: 503,
		strike: func(p *patient) func() {
			p.forRole("SET default_transaction_read_only = on")
			return func() { p.forRole("RESET default_transaction_read_only") }
		},
	},
	{
		name: "a standby", alone: true, says: "it is read-only", ready: 503,
		strike: func(p *patient) func() {
			p.file("data_directory", "standby.signal", "")
			must(p, p.server.Restart())
			return func() { p.admin("SELECT pg_promote()") }
		},
	},
	{
		name: "the table is locked", lasts: 7 * time.Second, says: "deadline exceeded", ready: 503,
		strike: func(p *patient) func() { return p.hold("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE") },
	},
	{
		name: "every row is locked", lasts: 7 * time.Second, says: "deadline exceeded", ready: 200, env: connectionsForAll,
		strike: func(p *patient) func() { return p.hold(lockRows) },
	},
	{
		name: "statements are timed out", says: "SQLSTATE 57014", ready: 200, env: connectionsForAll,
		strike: func(p *patient) func() {
			p.forRole("SET statement_timeout = '100ms'")
			return p.hold(lockRows)
		},
	},
	{
		name: "locks are timed out", says: "SQLSTATE 55P03", ready: 200, env: connectionsForAll,
		strike: func(p *patient) func() {
			p.forRole("SET lock_timeout = '100ms'")
			return p.hold(lockRows)
		},
	},
	{
		name: "a right is taken away", says: "the role needs", ready: 503,
		strike: func(p *patient) func() {
			change := func(sql string) {
				_, err := p.db.Exec(p.Context(), sql+testenv.WorkerRole)
				must(p, err)
			}
			change("REVOKE UPDATE (status) ON orders FROM ")
			return func() { change("GRANT UPDATE (status) ON orders TO ") }
		},
	},
	{
		name: "repeatable read", says: "SQLSTATE 40001", ready: 200, env: connectionsForAll,
		strike: func(p *patient) func() { return p.contend("repeatable read") },
	},
	{
		name: "serializable", says: "SQLSTATE 40001", ready: 200, env: connectionsForAll,
		strike: func(p *patient) func() { return p.contend("serializable") },
	},
	{
		name: "the database is gone", says: "SQLSTATE 3D000", ready: 503,
		strike: func(p *patient) func() {
			p.rename(p.database, p.database+"_gone")
			return func() { p.rename(p.database+"_gone", p.database) }
		},
	},
	{
		name: "an empty database in its place", says: "SQLSTATE 42P01", ready: 503,
		strike: func(p *patient) func() {
			p.rename(p.database, p.database+"_gone")
			p.admin("CREATE DATABASE " + p.database + " TEMPLATE template0")
			return func() {
				p.admin("DROP DATABASE " + p.database + " WITH (FORCE)")
				p.rename(p.database+"_gone", p.database)
			}
		},
	},
	{
		name: "another password", alone: true, says: "SQLSTATE 28P01", ready: 503,
		strike: func(p *patient) func() {
			p.file("hba_file", "", "host all "+p.role+" 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
			p.admin("SELECT pg_reload_conf()")
			p.forRole("PASSWORD 'new'")
			return func() { p.forRole("PASSWORD 'old'") }
		},
	},
}

// takeAllConnections leaves the worker none.
func takeAllConnections(p *patient) func() {
	p.admin("CREATE ROLE hog LOGIN")
	var taken []*pgx.Conn
	u, err := url.Parse(p.databaseURL)
	must(p, err)
	u.User = url.User("hog")
	testenv.Eventually(p, 10*time.Second, "the worker without a connection", func() bool {
		p.reconnect()
		for {
			conn, err := pgx.Connect(p.Context(), u.String())
			if err != nil {
				break
			}
			taken = append(taken, conn)
		}
		var left int
		must(p, p.db.QueryRow(p.Context(), `SELECT count(*) FROM pg_stat_activity WHERE usename = $1`, p.role).Scan(&left))
		return left == 0
	})
	return func() {
		for _, conn := range taken {
			must(p, conn.Close(p.Context()))
		}
	}
}

// contend lets every claim meet a transaction that changes its row.
func (p *patient) contend(isolation string) (commit func()) {
	p.Helper()
	p.forRole("SET default_transaction_isolation = '" + isolation + "'")
	return p.hold("UPDATE orders SET quantity = quantity WHERE status = 'pending'")
}

func (p *patient) rename(from, to string) {
	p.Helper()
	p.db.Reset()
	testenv.Eventually(p, 10*time.Second, "renamed", func() bool { // somebody may connect in between
		return p.tryAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+from+`'`,
			"ALTER DATABASE "+from+" RENAME TO "+to) == nil
	})
}

func (f postgresFault) patient(t *testing.T) *patient {
	t.Parallel()
	p := newPatient
	if f.alone {
		p = func(t *testing.T) *patient { return newPatientAlone(t, f.settings...) }
	}
	patient := p(t)
	patient.env = append(patient.env, f.env...)
	return patient
}

// Whatever befalls PostgreSQL, the worker waits, says truly whether it is ready, and
// resumes by itself: no order is begun twice, charged or given up for it.
func TestWorker_postgresFaults(t *testing.T) {
	for _, f := range postgresFaults {
		t.Run(f.name, func(t *testing.T) {
			p := f.patient(t)
			const orders, late = 24, 6
			ids := p.insert(orders + late)
			p.w = p.start()
			p.w.awaitStart()
			p.health.ready(200)
			p.queue(ids[:orders])
			testenv.Eventually(p, 20*time.Second, "all in hand", func() bool { return len(p.w.log("Processing order")) == orders })

			heal := f.strike(p)
			p.health.ready(f.ready)
			p.calm(noticed)
			p.queue(ids[orders:])
			p.calm(max(f.lasts-noticed, time.Second))
			if n := p.rdb.LLen(t.Context(), p.keys.Queue()).Val(); f.ready == 503 && n != late {
				t.Errorf("%d messages wait, want %d: it claims and cannot work", n, late)
			}
			got, why := p.health.ask("/readyz")
			if got != f.ready {
				t.Errorf("/readyz answers %d during the outage, want %d", got, f.ready)
			}
			done := p.w.finished()

			heal()
			healed := time.Now()
			testenv.Eventually(t, resumed, "work going on", func() bool { return p.w.finished() > done })
			t.Logf("%d of %d done before; work went on %v after the outage", done, orders, time.Since(healed).Round(time.Millisecond))
			p.health.ready(200)
			p.awaitFulfilled(20 * time.Second)
			p.workedOnce(orders + late)
			if !strings.Contains(why, f.says) && !p.w.complained(f.says) {
				t.Errorf("neither /readyz nor an error in the log says %q: the fault did not happen", f.says)
			}
		})
	}
}

// noticed is how soon after the beginning of an outage nothing more is claimed: the pause between
// two pings, a ping's time-out, the longest wait of a claim, and what a busy machine adds.
const noticed = time.Second + time.Second + time.Second + time.Second

// resumed is how soon after an outage an order is finished: the longest pause between two
// tries, a ping's time-out, and what a busy machine adds.
const resumed = 2*time.Second + time.Second + 2*time.Second

// Faults of a server that is there at the start keep the worker waiting, not from coming up.
func TestWorker_startsIntoPostgresFaults(t *testing.T) {
	for _, f := range postgresFaults {
		if f.ready == 200 {
			continue // it would not be noticed
		}
		t.Run(f.name, func(t *testing.T) {
			p := f.patient(t)
			ids := p.insert(5)
			p.queue(ids)
			heal := f.strike(p)
			p.w = p.start()
			testenv.Eventually(t, 20*time.Second, "/readyz answering 503", func() bool { return p.health.status("/readyz") == 503 })
			p.calm(2 * time.Second)
			if n := p.rdb.Exists(t.Context(), p.keys.Workers()).Val(); n != 0 {
				t.Error("it joined, and cannot work")
			}
			heal()
			p.w.awaitLog(startsWithin, "Fulfillment Worker started")
			p.awaitFulfilled(20 * time.Second)
			p.workedOnce(len(ids))
		})
	}
}

// startsWithin is how soon after an outage a worker starts: it may have begun a try just
// before, whose time-out is five seconds, and pauses two between tries.
const startsWithin = 5*time.Second + 2*time.Second + 2*time.Second

// PostgreSQL crashes again and again under load, by the death of one of its processes or
// by an order to stop at once.
func TestWorker_postgresCrashes(t *testing.T) {
	t.Parallel()
	p := newPatientAlone(t)
	p.env = append(p.env, "WORKER_CONCURRENCY=10", "PROCESSING_MIN=100ms", "PROCESSING_MAX=200ms")
	const crashes, orders = 20, 24
	ids := p.insert(crashes * orders)
	p.w = p.start()
	p.w.awaitStart()
	var slowest time.Duration
	for round := range crashes {
		conn, err := pgx.Connect(t.Context(), p.databaseURL) // before, for it takes its time
		must(t, err)
		p.queue(ids[round*orders : (round+1)*orders])
		testenv.Eventually(t, 10*time.Second, "orders in hand", func() bool { return len(p.w.log("Processing order")) > round*orders+5 })
		p.crash(conn, round%4 == 3)
		done := p.w.finished()
		if done == (round+1)*orders {
			t.Error("all was done before: the crash struck nobody")
		}
		ready := time.Now()
		testenv.Eventually(t, resumed, "work going on", func() bool { return p.w.finished() > done })
		slowest = max(slowest, time.Since(ready))
		testenv.Eventually(t, 10*time.Second, "the round done", func() bool { return p.w.finished() == (round+1)*orders })
	}
	t.Logf("%d crashes; work went on within %v of the server's being ready", crashes, slowest.Round(time.Millisecond))
	p.db.Reset()
	p.awaitFulfilled(10 * time.Second)
	p.workedOnce(crashes * orders)
}

// crash kills one of PostgreSQL's processes, upon which all others end, or stops all at
// once; it returns when the server has recovered. It asks, and ends, that connection.
func (p *patient) crash(conn *pgx.Conn, atOnce bool) {
	p.Helper()
	ctx := p.Context()
	defer conn.Close(ctx)
	if atOnce {
		var directory string
		must(p, conn.QueryRow(ctx, "SHOW data_directory").Scan(&directory))
		lock, err := os.ReadFile(filepath.Join(directory, "postmaster.pid"))
		must(p, err)
		pid, _, _ := strings.Cut(string(lock), "\n")
		p.signalProcess(pid, syscall.SIGQUIT)
		must(p, p.server.Restart())
	} else {
		var pid string
		must(p, conn.QueryRow(ctx, `SELECT min(pid)::text FROM pg_stat_activity WHERE usename = $1`, p.role).Scan(&pid))
		p.signalProcess(pid, syscall.SIGKILL)
	}
	testenv.Eventually(p, 10*time.Second, "every connection broken", func() bool { return conn.Ping(ctx) != nil })
	testenv.Eventually(p, 20*time.Second, "PostgreSQL recovered", func() bool { return p.tryAdmin("SELECT 1") == nil })
}

func (p *patient) signalProcess(pid string, sig syscall.Signal) {
	p.Helper()
	n, err := strconv.Atoi(pid)
	must(p, err)
	must(p, syscall.Kill(n, sig))
}

// Every connection is ended, again and again, under load.
func TestWorker_backendsAreTerminated(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.env = append(p.env, "PROCESSING_MIN=50ms", "PROCESSING_MAX=150ms", "POSTGRES_MAX_CONNS=20")
	p.w = p.start()
	p.w.awaitStart()
	const wanted = 500
	orders, killed := 0, 0
	for killed < wanted {
		if p.rdb.LLen(t.Context(), p.keys.Queue()).Val() < 40 {
			orders += len(p.order(20))
		}
		var n int
		must(t, p.db.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1`, p.role).Scan(&n))
		killed += n
		<-time.After(20 * time.Millisecond) // fifty times a second
	}
	p.awaitFulfilled(20 * time.Second)
	t.Logf("%d connections ended, %d orders", killed, orders)
	p.workedOnce(orders)
}

// Answers to each statement are lost, or the statements themselves: no order is worked
// twice for it.
func TestWorker_answersOfPostgresAreLost(t *testing.T) {
	const claim = "OR status = 'processing' AND"
	tests := []struct {
		name, statement string
		answer          string // matches the answers that are lost
		status          string // of the orders; "processing" is as a dead worker leaves them
	}{
		{"claim", claim, "", "pending"},
		{"look at the row", "extract(epoch FROM", "", "processing"},
		{"take-over", claim, "UPDATE [1-9]", "processing"}, // of one order, or of many
		{"finish", "SET status = 'fulfilled'", "", "pending"},
		{"ping", "transaction_read_only", "", "pending"},
	}
	type wanted = func(reply []byte) bool
	ways := []func(p *testenv.Proxy, n int, statement string, w wanted){
		func(p *testenv.Proxy, n int, statement string, w wanted) { p.LoseReplies(n, statement, w) },
		func(p *testenv.Proxy, n int, statement string, w wanted) { p.TearReplies(n, 7, statement, w) },
		func(p *testenv.Proxy, n int, statement string, _ wanted) { p.LoseRequests(n, statement) },
		func(p *testenv.Proxy, n int, statement string, w wanted) {
			p.ResetOnLoss()
			p.LoseReplies(n, statement, w)
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			p.env = append(p.env, "WORKER_CONCURRENCY=50", "POSTGRES_MAX_CONNS=20", "PROCESSING_MIN=0", "PROCESSING_MAX=0")
			p.w = p.start()
			p.w.awaitStart()
			const orders, n = 50, 15 // the more go together, the more losses each order has to wait out
			for i, lose := range ways {
				ids := p.insert(orders)
				if tt.status == "processing" {
					p.leaveBehind(ids)
				}
				lose(p.proxy, n, tt.statement, regexp.MustCompile(tt.answer).Match)
				p.queue(ids)
				testenv.Eventually(t, 60*time.Second, fmt.Sprintf("way %d: every fault struck", i), func() bool {
					if tt.name == "ping" {
						p.health.status("/readyz")
					}
					return p.proxy.Lost() == n
				})
				p.awaitFulfilled(20 * time.Second)
			}
			p.workedOnce(orders * len(ways))
		})
	}
}

// leaveBehind makes the orders look as those of a worker that died: in processing, with
// the right to take them over.
func (p *patient) leaveBehind(ids []int64) {
	p.Helper()
	_, err := p.db.Exec(p.Context(), `UPDATE orders SET status = 'processing' WHERE id = ANY($1)`, ids)
	must(p, err)
	for _, id := range ids {
		must(p, p.rdb.HSet(p.Context(), p.keys.Returned(), queue.Digest([]byte(payload(id))), "returned").Err())
	}
}

// Orders whose rows somebody has locked wait; others go on.
func TestWorker_lockedRowsHoldUpNoOther(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.env = append(p.env, "WORKER_CONCURRENCY=10", "PROCESSING_MIN=0", "PROCESSING_MAX=100ms")
	const orders, locked = 100, 3
	ids := p.insert(orders)
	p.w = p.start()
	p.w.awaitStart()
	unlock := p.hold(fmt.Sprintf("SELECT FROM orders WHERE id IN (%d, %d, %d) FOR UPDATE", ids[0], ids[1], ids[50]))
	p.queue(ids)
	testenv.Eventually(t, 20*time.Second, "all others fulfilled", func() bool { return p.unfulfilled() == locked })
	p.calm(6 * time.Second) // longer than a statement may take
	p.health.ready(200)
	if n := p.unfulfilled(); n != locked {
		t.Errorf("%d are not fulfilled, want %d: they are locked", n, locked)
	}
	unlock()
	p.awaitFulfilled(resumed)
	p.workedOnce(orders)
}

// PostgreSQL comes back while the worker stops: what is in hand is finished all the same.
func TestWorker_finishesWhenPostgresReturnsWhileItStops(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	ids := p.insert(10)
	p.w = p.start("SHUTDOWN_TIMEOUT=20s")
	p.w.awaitStart()
	p.queue(ids)
	testenv.Eventually(t, 10*time.Second, "all in hand", func() bool { return len(p.w.log("Processing order")) == len(ids) })
	p.forRole("CONNECTION LIMIT 0")
	p.health.ready(503)
	p.w.awaitLog(5*time.Second, "PostgreSQL is of no use")
	p.w.signal(syscall.SIGTERM)
	p.calm(2 * time.Second)
	p.forRole("CONNECTION LIMIT -1")
	p.awaitFulfilled(resumed)
	p.w.exit(10 * time.Second)
	p.workedOnce(len(ids))
}
