package db_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5/pgxpool"
)

// say runs a statement as the superuser; %ROLE% and %DB% are the worker's role and this
// database.
func (b *bench) say(sql string) {
	b.Helper()
	database := b.admin.Config().ConnConfig.Database
	b.exec(strings.NewReplacer("%ROLE%", testenv.WorkerRole, "%DB%", database).Replace(sql))
}

// hold runs a statement in a transaction that stays open until the returned function ends
// it.
func (b *bench) hold(sql string) (end func()) {
	b.Helper()
	tx, err := b.admin.Begin(b.Context())
	must(b, err)
	_, err = tx.Exec(b.Context(), sql)
	must(b, err)
	return func() { must(b, tx.Rollback(b.Context())) }
}

// refusals are states of a server that answers, in which orders cannot go on.
var refusals = []struct {
	name   string
	strike func(*bench) (heal func())
	says   string // Ping, while it lasts; "" is that it finds nothing wrong
}{
	{"read-only", func(b *bench) func() {
		// Sessions that exist keep what they have: a failover ends them.
		b.say(`ALTER ROLE %ROLE% IN DATABASE %DB% SET default_transaction_read_only = on`)
		b.say(terminate)
		return func() {
			b.say(`ALTER ROLE %ROLE% IN DATABASE %DB% RESET default_transaction_read_only`)
			b.say(terminate)
		}
	}, db.ErrReadOnly.Error()},
	{"without the right to read", func(b *bench) func() {
		b.say(`REVOKE SELECT ON orders FROM %ROLE%`)
		return func() { b.say(`GRANT SELECT ON orders TO %ROLE%`) }
	}, db.ErrRights.Error()},
	{"without the right to change", func(b *bench) func() {
		b.say(`REVOKE UPDATE (updated_at) ON orders FROM %ROLE%`)
		return func() { b.say(`GRANT UPDATE (updated_at) ON orders TO %ROLE%`) }
	}, db.ErrRights.Error()},
	{"without the table", func(b *bench) func() {
		b.say(`ALTER TABLE orders RENAME TO others`)
		return func() { b.say(`ALTER TABLE others RENAME TO orders`) }
	}, `relation "orders" does not exist`},
	{"with the table locked", func(b *bench) func() { return b.hold(`LOCK TABLE orders`) }, "deadline exceeded"},
	{"with the row locked", func(b *bench) func() { return b.hold(`SELECT FROM orders FOR UPDATE`) }, ""},
}

const terminate = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%ROLE%' AND datname = '%DB%'`

// A server that refuses is waited out like one that is silent, and Ping does not call it
// well because it answers.
func TestOrders_waitOutARefusal(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			id := b.insert("pending", 0)
			token, err := b.orders.Claim(t.Context(), id, "")
			must(t, err)
			must(t, b.orders.Ping(t.Context()))

			heal := tt.strike(b)
			finished := make(chan error, 1)
			go func() { finished <- b.orders.Finish(b.bounded(), id, token) }()
			if err := b.orders.Ping(t.Context()); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Ping says %v, want %q", err, tt.says)
			}
			select {
			case err := <-finished:
				t.Fatalf("Finish returned %v, want it to wait", err)
			case <-time.After(time.Second): // how long it lasts
			}
			if open := isClosed(b.orders.Available()); open != (tt.says == "") {
				t.Errorf("open for claims: %v", open)
			}

			heal()
			must(t, <-finished)
			must(t, b.orders.Ping(t.Context()))
			testenv.Eventually(t, 3*time.Second, "open for claims", func() bool { return isClosed(b.orders.Available()) })
			testenv.CheckContract(t, b.url)
		})
	}
}

// Connections that broke while nobody used them are no outage.
func TestPing_asksOverANewConnection(t *testing.T) {
	b := newBench(t)
	for range 20 {
		b.say(terminate)
		must(t, b.orders.Ping(t.Context()))
	}
}

// Who found no connection has sent nothing: that is no claim of unknown outcome, which
// would entitle him to the order of whoever claimed it meanwhile.
func TestClaim_waitsForAConnectionWithoutStealing(t *testing.T) {
	b := newBench(t)
	busy := b.insert("pending", 0)
	id := b.insert("pending", 0)
	single := openAt(t, testenv.WorkerURL(b.url), 1)
	unlock := b.hold(`SELECT FROM orders WHERE id = 1 FOR UPDATE`)
	go func() { _, _ = single.Claim(b.bounded(), busy, "") }() // has the one connection
	testenv.Eventually(t, 5*time.Second, "the connection taken", func() bool {
		var waiting int
		must(t, b.admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		return waiting > 0
	})
	result := make(chan error, 1)
	go func() {
		_, err := single.Claim(b.bounded(), id, "")
		result <- err
	}()
	<-time.After(100 * time.Millisecond) // it stands in line; if it does not yet, all the better for the other
	token, err := b.orders.Claim(t.Context(), id, "")
	must(t, err)
	<-time.After(5 * time.Second) // a statement's time-out: its first try has ended without a connection
	unlock()
	var hand *order.InHandError
	if err := <-result; !errors.As(err, &hand) {
		t.Errorf("the claim that waited got %v, want an InHandError", err)
	}
	must(t, b.orders.Finish(t.Context(), id, token))
}

// An idle connection that the server closes costs nobody anything.
func TestOrders_idleSessionsAreEnded(t *testing.T) {
	b := newBench(t)
	b.say(`ALTER ROLE %ROLE% IN DATABASE %DB% SET idle_session_timeout = '50ms'`)
	b.say(terminate)
	for range 10 {
		id := b.insert("pending", 0)
		token, err := b.orders.Claim(b.bounded(), id, "")
		must(t, err)
		testenv.Eventually(t, 5*time.Second, "the session ended", func() bool {
			var sessions int
			must(t, b.admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()`,
				testenv.WorkerRole).Scan(&sessions))
			return sessions == 0
		})
		must(t, b.orders.Finish(b.bounded(), id, token))
	}
	testenv.CheckContract(t, b.url)
}

// Settings by which PostgreSQL may lose what it confirms are said at start, each with what
// to do.
func TestReach_warnsOfLoss(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		settings []string // of the server
		role     string   // and of the worker's role
		want     []string
	}{
		{"durable", nil, "", nil},
		{"not at all", []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off"}, "", []string{"fsync = off", "full_page_writes = off", "synchronous_commit = off"}},
		{"but for the role", nil, "off", []string{"synchronous_commit = off"}},
		{"only for the role", []string{"synchronous_commit=off"}, "on", nil},
		{"without a standby's word", nil, "local", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := testenv.OwnPostgres(t, tt.settings...)
			if tt.role != "" {
				_, err := testenv.Pool(t, server.URL("orders")).Exec(t.Context(), `ALTER ROLE `+testenv.WorkerRole+` SET synchronous_commit = `+tt.role)
				must(t, err)
			}
			cfg, err := pgxpool.ParseConfig(testenv.WorkerURL(server.URL("orders")))
			must(t, err)
			var log bytes.Buffer
			orders, err := db.New(cfg, abandoned, logger.New(&log, "test", slog.LevelInfo))
			must(t, err)
			defer orders.Close()
			must(t, orders.Reach(t.Context()))
			var got []string
			for lines := json.NewDecoder(&log); ; {
				var line struct{ Level, Setting, Loss, Remedy string }
				err := lines.Decode(&line)
				if errors.Is(err, io.EOF) {
					break
				}
				must(t, err)
				if line.Level != "warn" || line.Loss == "" || line.Remedy == "" {
					t.Errorf("%+v, want a warning with what may be lost and what to do", line)
				}
				got = append(got, line.Setting)
			}
			if strings.Join(got, ", ") != strings.Join(tt.want, ", ") {
				t.Errorf("it warns of %q, want %q", got, tt.want)
			}
		})
	}
}

// The first statement that fails has Watch look at once, so that not every order in hand
// knocks.
func TestWatch_looksAtOnceWhenAStatementFails(t *testing.T) {
	b := newBench(t)
	for range 10 { // by chance its own time may have come
		id := b.insert("pending", 0)
		b.say(`ALTER DATABASE %DB% CONNECTION LIMIT 0`)
		b.say(terminate)
		claimed := make(chan error, 1)
		go func() {
			_, err := b.orders.Claim(b.bounded(), id, "")
			claimed <- err
		}()
		testenv.Eventually(t, 600*time.Millisecond, "closed for claims", func() bool { return !isClosed(b.orders.Available()) })
		b.say(`ALTER DATABASE %DB% CONNECTION LIMIT -1`)
		must(t, <-claimed)
	}
}
