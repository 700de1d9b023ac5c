package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

var postgresFaults = []*fault{
	{
		name: "pg-backend-kill", about: "kill -9 of one of PostgreSQL's processes: all of it crashes and recovers", proof: "processes killed",
		lane: onPostgres, deafens: true, needs: needBackends, lasts: lasts(2 * time.Second), bound: profile.back, inject: pgBackendKill,
	},
	{
		name: "pg-kill", about: "kill -9 of all of PostgreSQL; it starts again", proof: "other processes answer",
		lane: onPostgres, deafens: true, needs: needServers, lasts: lasts(2 * time.Second), bound: profile.back, inject: pgKill,
	},
	{
		name: "pg-terminate", about: "pg_terminate_backend of all connections, again and again", proof: "connections ended",
		lane: onPostgres, deafens: true, lasts: lasts(time.Second), bound: profile.back, inject: pgTerminate,
	},
	{
		name: "pg-freeze", about: "PostgreSQL is stopped for three leases", proof: "questions without an answer",
		lane: onPostgres, deafens: true, needs: needServers, lasts: profile.frozen, bound: profile.back, inject: pgFreeze,
	},
	{
		name: "pg-lock", about: "somebody holds a lock on the orders table for two seconds", proof: "statements that waited",
		lane: onPostgres, deafens: true, lasts: lasts(2 * time.Second), bound: profile.back, inject: pgLock,
	},
}

const others = ` FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> '` + self + `'`

func pgBackendKill(ctx context.Context, i *injection) (wound, error) {
	pids, err := i.backends(ctx)
	if err != nil || len(pids) == 0 {
		return wound{}, errMissed
	}
	if err := i.env.KillBackend(pids[i.rng.IntN(len(pids))]); err != nil {
		return wound{}, errMissed
	}
	if err := i.awaitPostgres(ctx); err != nil {
		return wound{}, err
	}
	return wound{1, i.everyone(time.Now())}, nil
}

func (c *clients) backends(ctx context.Context) (pids []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rows, err := c.db.Query(ctx, `SELECT pid`+others)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// awaitPostgres waits until it answers again, from outside every pool.
func (c *clients) awaitPostgres(ctx context.Context) error {
	return undo(ctx, "reach PostgreSQL", func(ctx context.Context) error {
		conn, err := pgx.ConnectConfig(ctx, c.db.Config().ConnConfig)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		return conn.Ping(ctx)
	})
}

func (c *clients) startTime(ctx context.Context) (at time.Time) {
	_ = undo(ctx, "ask PostgreSQL", func(ctx context.Context) error {
		return c.db.QueryRow(ctx, `SELECT pg_postmaster_start_time()`).Scan(&at)
	})
	return at
}

func pgKill(ctx context.Context, i *injection) (wound, error) {
	before := i.startTime(ctx)
	i.env.Postgres().Kill()
	sleep(ctx, i.between(200*time.Millisecond, 800*time.Millisecond))
	if err := i.env.Postgres().Restart(); err != nil {
		return wound{}, err
	}
	w := wound{cure: i.everyone(time.Now())}
	if i.startTime(ctx).After(before) {
		w.proof = 1
	}
	return w, nil
}

func pgTerminate(ctx context.Context, i *injection) (wound, error) {
	ended := 0
	for range 10 {
		var n int
		if i.db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))`+others).Scan(&n) == nil {
			ended += n
		}
		if !sleep(ctx, i.between(20*time.Millisecond, 150*time.Millisecond)) {
			break
		}
	}
	return wound{ended, i.everyone(time.Now())}, nil
}

func pgFreeze(ctx context.Context, i *injection) (wound, error) {
	return i.freezeServer(ctx, i.env.Postgres(), i.db.Ping)
}

func pgLock(ctx context.Context, i *injection) (wound, error) {
	conn, err := pgx.ConnectConfig(ctx, i.db.Config().ConnConfig)
	if err != nil {
		return wound{}, errMissed
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `BEGIN; SET LOCAL lock_timeout = '1s'; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE`); err != nil {
		return wound{}, errMissed
	}
	sleep(ctx, 2*time.Second)
	var waited int
	err = conn.QueryRow(context.WithoutCancel(ctx), `SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted`).Scan(&waited)
	if err != nil {
		return wound{}, errMissed // it has crashed meanwhile
	}
	_, _ = conn.Exec(context.WithoutCancel(ctx), `COMMIT`)
	return wound{waited, i.everyone(time.Now())}, nil
}
