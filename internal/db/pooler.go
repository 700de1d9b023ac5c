package db

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pooler notes whether something like PgBouncer stands between, which gives each
// transaction another connection to PostgreSQL. Statements must not be prepared then: what
// was prepared in one place is looked for in another, and at worst somebody else's
// statement is found there.
type pooler struct {
	log   *slog.Logger
	found atomic.Bool
}

// errPooler is why a connection is given up. The next one allows for the pooler.
var errPooler = errors.New("a pooler stands between, and this connection would prepare statements")

// lookOut has each new connection of the pool looked at.
func (p *pooler) lookOut(cfg *pgxpool.Config) {
	cfg.BeforeConnect = p.allow
	cfg.AfterConnect = p.check
}

func (p *pooler) allow(_ context.Context, cfg *pgx.ConnConfig) error {
	if p.found.Load() && prepares(cfg.DefaultQueryExecMode) {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return nil
}

// check returns errPooler if the connection would prepare statements behind a pooler.
func (p *pooler) check(ctx context.Context, conn *pgx.Conn) error {
	if !prepares(conn.Config().DefaultQueryExecMode) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout) // the pool sets no limit
	defer cancel()
	straight, err := isStraight(ctx, conn)
	if err != nil || straight {
		return err
	}
	if !p.found.Swap(true) {
		p.log.InfoContext(ctx, "a pooler stands before PostgreSQL, statements are not prepared")
	}
	return errPooler
}

// prepares reports whether a statement needs in that mode what an earlier round trip has
// left in the server's session.
func prepares(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeCacheStatement || mode == pgx.QueryExecModeDescribeExec
}

// isStraight reports whether the process that answers is the one that was named when the
// connection began. A pooler names none, for it does not know which it will be.
func isStraight(ctx context.Context, conn *pgx.Conn) (bool, error) {
	results, err := conn.PgConn().Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return false, err
	}
	pid := strconv.FormatUint(uint64(conn.PgConn().PID()), 10)
	return string(results[0].Rows[0][0]) == pid, nil
}
