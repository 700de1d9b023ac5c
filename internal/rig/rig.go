// Package rig runs the real programs on servers of their own and follows the
// workers' logs, for the demo, the benchmark and the chaos.
//
// # What callers may rely on
//
//   - All files stand in one new directory, which [Rig.Close] removes. No process
//     outlives this one, however it ends.
//   - The servers are as durable as in production.
//   - Workers connect as a role that may SELECT orders and UPDATE their status and
//     updated_at, and no more.
//   - A program gets the settings that it is given, and the defaults for the rest:
//     the environment of this process does not reach it.
//
// # What this package never does
//
//   - It never looks into Redis or at an order.
package rig

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"fulfillment-worker/internal/servers"
)

// role is the workers' in PostgreSQL.
const role = "fulfillment_worker"

// Rig is the built programs, a Redis, and a PostgreSQL with the orders table.
type Rig struct {
	Redis    *servers.Redis
	Postgres *servers.Postgres

	dir string

	mu      sync.Mutex
	workers []*Worker
}

// New builds cmd/worker and cmd/queuectl and starts the servers. The caller closes
// what it returns.
func New(ctx context.Context) (*Rig, error) {
	dir, err := servers.TempDir()
	if err != nil {
		return nil, err
	}
	r := &Rig{dir: dir}
	for _, step := range []func(context.Context) error{r.build, r.startServers, r.createOrders} {
		err := step(ctx)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close kills the workers, stops the servers and removes the directory.
func (r *Rig) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		w.Kill()
	}
	if r.Redis != nil {
		r.Redis.Stop()
	}
	if r.Postgres != nil {
		r.Postgres.Stop()
	}
	_ = os.RemoveAll(r.dir)
}

// Dir is where a caller may put files of its own that Close shall remove, too.
func (r *Rig) Dir() string { return r.dir }

// DatabaseURL is where the owner of the orders table connects.
func (r *Rig) DatabaseURL() string { return r.Postgres.URL("orders") }

// WorkerURL is where a worker connects.
func (r *Rig) WorkerURL() string {
	u, err := url.Parse(r.DatabaseURL())
	if err != nil {
		panic(err) // package servers made it
	}
	u.User = url.User(role)
	return u.String()
}

// Queuectl runs queuectl as the owner of the orders table, with its output to out.
func (r *Rig) Queuectl(ctx context.Context, out io.Writer, args ...string) error {
	var complaint strings.Builder
	cmd := exec.CommandContext(ctx, filepath.Join(r.dir, "queuectl"), args...)
	cmd.Env = []string{"DATABASE_URL=" + r.DatabaseURL(), "REDIS_URL=" + r.Redis.URL(), "NO_COLOR=" + os.Getenv("NO_COLOR")}
	cmd.Stdout, cmd.Stderr = out, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("queuectl %s: %w %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

func (r *Rig) build(ctx context.Context) error {
	return goBuild(ctx, "-o", r.dir, "fulfillment-worker/cmd/worker", "fulfillment-worker/cmd/queuectl")
}

// BuildCrashing builds the worker that [Rig.StartCrashing] runs.
func (r *Rig) BuildCrashing(ctx context.Context) error {
	return goBuild(ctx, "-tags", "torture", "-o", filepath.Join(r.dir, "torture")+string(filepath.Separator), "fulfillment-worker/cmd/worker")
}

func goBuild(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func (r *Rig) startServers(context.Context) (err error) {
	if r.Redis, err = servers.StartRedis(r.dir); err != nil {
		return err
	}
	r.Postgres, err = servers.StartPostgres(r.dir)
	return err
}

func (r *Rig) createOrders(ctx context.Context) error {
	if err := run(ctx, r.Postgres.URL("postgres"), "CREATE DATABASE orders", "CREATE ROLE "+role+" LOGIN"); err != nil {
		return err
	}
	return run(ctx, r.DatabaseURL(), servers.OrdersSchema, "GRANT SELECT, UPDATE (status, updated_at) ON orders TO "+role)
}

// run executes statements over a connection of their own.
func run(ctx context.Context, databaseURL string, statements ...string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
