package testenv

import (
	"context"
	_ "embed"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fulfillment-worker/internal/servers"
)

// WorkerRole is the role with the rights of the worker: SELECT and UPDATE (status,
// updated_at) on orders.
const WorkerRole = "orders_worker"

// template is the database that has the orders table and its audit, and that
// nobody is connected to: CREATE DATABASE refuses a busy one.
const template = "orders"

//go:embed audit.sql
var auditSchema string

// Database returns the superuser's URL of a new database on the shared PostgreSQL,
// with an empty orders table and its audit. It is dropped when the test ends.
func Database(tb testing.TB) string {
	tb.Helper()
	p, err := sharedPostgres()
	must(tb, err)
	name := uniqueName()
	must(tb, createDatabase(tb.Context(), p, name, template))
	tb.Cleanup(func() {
		ctx, cancel := cleanUpContext(tb)
		defer cancel()
		if err := run(ctx, p.URL("postgres"), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop the database %s: %v", name, err)
		}
	})
	return p.URL(name)
}

// OwnPostgres starts a PostgreSQL for this test alone, as durable as in production
// unless a setting says otherwise. Its database "orders" has an empty orders table
// and its audit. It is stopped when the test ends.
func OwnPostgres(tb testing.TB, settings ...string) *servers.Postgres {
	tb.Helper()
	p, err := servers.StartPostgres(ownDir(tb), settings...)
	must(tb, err)
	tb.Cleanup(p.Stop)
	must(tb, prepare(tb.Context(), p))
	return p
}

// PgBouncer starts a PgBouncer for this test alone, in front of the PostgreSQL at target,
// host:port; it connects as the [WorkerRole]. It is stopped when the test ends.
func PgBouncer(tb testing.TB, target string, settings ...string) *servers.PgBouncer {
	tb.Helper()
	b, err := servers.StartPgBouncer(ownDir(tb), target, WorkerRole, settings...)
	must(tb, err)
	tb.Cleanup(b.Stop)
	return b
}

// WorkerURL turns a superuser's URL into one of [WorkerRole].
func WorkerURL(superuser string) string {
	u, err := url.Parse(superuser)
	if err != nil {
		panic(err) // package servers made it
	}
	u.User = url.User(WorkerRole)
	return u.String()
}

// Pool returns a pool of connections to that URL, which is closed when the test
// ends.
func Pool(tb testing.TB, url string) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), url)
	must(tb, err)
	tb.Cleanup(pool.Close)
	return pool
}

// prepare makes the worker's role and the database "orders".
func prepare(ctx context.Context, p *servers.Postgres) error {
	if err := run(ctx, p.URL("postgres"), "CREATE ROLE "+WorkerRole+" LOGIN"); err != nil {
		return err
	}
	if err := createDatabase(ctx, p, template, "template1"); err != nil {
		return err
	}
	return run(ctx, p.URL(template), servers.OrdersSchema, auditSchema)
}

// createDatabase also takes from the worker what every role has by default.
func createDatabase(ctx context.Context, p *servers.Postgres, name, from string) error {
	return run(ctx, p.URL("postgres"),
		"CREATE DATABASE "+name+" TEMPLATE "+from,
		"REVOKE TEMPORARY ON DATABASE "+name+" FROM PUBLIC")
}

// run executes statements over a connection of their own.
func run(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
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
