// Package db is PostgreSQL: the orders table, and the pool of connections to it.
//
// # What callers may rely on
//
//   - An order makes only the steps pending → processing, processing → processing
//     and processing → fulfilled; each step's guard stands in the WHERE of its own
//     UPDATE.
//   - A claim yields a [Token], the row's version. Whoever takes the order over
//     changes the version, so that [Orders.Finish] with an old token changes
//     nothing.
//   - An outage is waited out; a statement whose answer was lost is resolved by
//     reading the row again.
//   - A pooler such as PgBouncer may stand between, and give each transaction
//     another connection.
//
// # What this package never does
//
//   - It runs no DDL, and holds a transaction open between two statements only for
//     [Orders.Alone]: it needs SELECT and UPDATE (status, updated_at) on orders and
//     nothing else.
//   - It knows nothing of Redis.
package db

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/outage"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pingEvery        = time.Second     // pause between two looks whether PostgreSQL is of use
	pingTimeout      = time.Second     // for its answer
	statementTimeout = 5 * time.Second // for any other
	closeTime        = 100 * time.Millisecond
	trusted          = 100 * time.Millisecond // how long a connection may be idle and still be used without a look
)

// Orders is the orders table.
type Orders struct {
	pool      *pgxpool.Pool
	log       *slog.Logger
	metrics   *metrics.Metrics
	abandoned time.Duration

	claims, finishes, looks *step

	frozenAfter time.Duration // see Alone

	suspicion chan struct{} // asks Watch for a look at once

	mu   sync.Mutex
	open chan struct{} // closed while PostgreSQL is of use
	away bool
}

// New returns the orders table behind cfg. It does not wait for it: see [Orders.Reach].
// An order that stands in processing for longer than abandoned counts as nobody's.
//
// Of cfg it takes where to connect, as whom, and how many connections.
func New(cfg *pgxpool.Config, abandoned time.Duration, log *slog.Logger) (*Orders, error) {
	cfg.PingTimeout = pingTimeout
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > trusted }
	cfg.ConnConfig.ConnectTimeout = statementTimeout
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	// Ages of rows are compared to the server's clock, in one time zone for all.
	cfg.ConnConfig.RuntimeParams["TimeZone"] = "UTC"
	// What is not prepared is answered in text, and pgx reads dates in no other.
	cfg.ConnConfig.RuntimeParams["DateStyle"] = "ISO, MDY"
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "fulfillment-worker"
	}
	(&pooler{log: log}).lookOut(cfg)
	o := &Orders{log: log, abandoned: abandoned, frozenAfter: frozenAfter, suspicion: make(chan struct{}, 1), open: make(chan struct{})}
	cfg.ConnConfig.Tracer = meter{o}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, errors.New("the pool's settings do not fit each other")
	}
	o.pool = pool
	o.claims, o.finishes, o.looks = o.newStep(claimSQL), o.newStep(finishSQL), o.newStep(lookSQL)
	close(o.open)
	return o, nil
}

const insufficientPrivilege = "42501"

// What keeps a server that answers from being of use.
var (
	ErrRights   = errors.New("the role needs SELECT and UPDATE (status, updated_at) on orders")
	ErrReadOnly = errors.New("it is read-only: a standby, or default_transaction_read_only is on")
)

// Reach waits until the orders table can be read and updated, or ctx is done; its
// error says then what was wrong last. It tries at least once. Settings by which
// PostgreSQL may lose what it confirms are warned of.
func (o *Orders) Reach(ctx context.Context) error {
	return outage.Ride(ctx, o.log, "reach the orders table", func() error {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
		defer cancel()
		err := o.fit(attempt)
		o.metrics.Found(metrics.PostgresServer, err)
		if err != nil {
			return err // somebody may still be setting it up
		}
		return o.warnOfLoss(attempt)
	})
}

const fitSQL = `
	SELECT current_setting('transaction_read_only')::bool,
		has_column_privilege('orders', 'status', 'UPDATE') AND has_column_privilege('orders', 'updated_at', 'UPDATE')
	FROM (VALUES (1)) AS one LEFT JOIN orders ON false`

// fit returns nil if orders can be read and updated now. It meets a lock on the whole
// table, as each order would.
func (o *Orders) fit(ctx context.Context) error {
	var readOnly, enough bool
	err := o.query(ctx, []any{&readOnly, &enough}, fitSQL)
	switch {
	case sqlState(err) == insufficientPrivilege, err == nil && !enough:
		return ErrRights
	case err == nil && readOnly:
		return ErrReadOnly
	}
	return err
}

// Close closes the pool, but waits no longer than a moment for statements that still
// run.
func (o *Orders) Close() {
	closed := make(chan struct{})
	go func() {
		o.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTime):
	}
}

// Ping asks PostgreSQL whether orders can be read and updated now, and gives it a second.
// A server that answers and refuses to write, as a standby does, is of no use.
func (o *Orders) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := o.fit(ctx)
	if err != nil && isUnknown(err) && ctx.Err() == nil {
		o.pool.Reset() // that connection broke, and so may have the others: ask over a new one
		err = o.fit(ctx)
	}
	return err
}

// Available returns a channel that is closed while PostgreSQL is of use: nobody should
// begin what needs it before. Watch must run for it to be true.
func (o *Orders) Available() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open
}

// Watch keeps Available true to the facts until ctx is done, and returns nil. It must run
// as long as anybody claims or finishes: while PostgreSQL is away they leave it to Watch
// to knock, or every order in hand would.
func (o *Orders) Watch(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-o.suspicion:
		}
		o.metrics.Turned(metrics.Watch)
		err := o.Ping(ctx)
		if ctx.Err() == nil {
			o.metrics.Found(metrics.PostgresServer, err)
			o.setAway(ctx, err)
		}
	}
}

// setAway notes whether PostgreSQL is away, for which err is the evidence.
func (o *Orders) setAway(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if away := err != nil; away != o.away {
		o.away = away
		if away {
			o.open = make(chan struct{})
			o.log.WarnContext(ctx, "PostgreSQL is of no use, claiming stops", "error", err)
		} else {
			close(o.open)
			o.log.InfoContext(ctx, "PostgreSQL is of use again, claiming goes on")
		}
	}
}

// try runs one attempt of op, once PostgreSQL is of use or ctx is done. No end of ctx cuts
// it short: an answer that is not waited for is an unknown outcome.
func (o *Orders) try(ctx context.Context, op func() error) error {
	select {
	case <-o.Available():
	case <-ctx.Done():
	}
	err := op()
	switch {
	case err == nil:
		return nil
	case isVerdict(err), ownFault(err):
		return outage.Stop(err)
	}
	select {
	case o.suspicion <- struct{}{}:
	default: // Watch is about to look
	}
	return err
}

// isVerdict reports whether err is the answer to the question, rather than none.
func isVerdict(err error) bool {
	var inHand *order.InHandError
	return errors.As(err, &inHand) || errors.Is(err, order.ErrUnknown) || errors.Is(err, order.ErrFulfilled) ||
		errors.Is(err, order.ErrForeign) || errors.Is(err, order.ErrSuperseded)
}

// sqlState is the code of PostgreSQL's answer, or "" if err is none.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return ""
	}
	return pg.Code
}

// class is what the first two characters of a code say.
func class(code string) string { return code[:min(2, len(code))] }

// ownFault reports whether err is about this order rather than about the server:
// its row refuses the change (a constraint, a trigger, a value out of range). All
// else is waited out.
func ownFault(err error) bool {
	switch class(sqlState(err)) {
	case "22", "23", "44", "P0": // data, constraint, check option, PL/pgSQL
		return true
	}
	return false
}

// unsentError is why there was no connection to send a statement over.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error { return e.error }

// acquire takes a connection from the pool. Where there is none, nothing was sent, however
// long it waited.
func (o *Orders) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := o.pool.Acquire(ctx)
	if errors.Is(err, errPooler) {
		conn, err = o.pool.Acquire(ctx)
	}
	if err != nil {
		return nil, &unsentError{err}
	}
	return conn, nil
}

// query reads the one row that a statement returns.
func (o *Orders) query(ctx context.Context, into []any, sql string, args ...any) error {
	conn, err := o.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return conn.QueryRow(ctx, sql, args...).Scan(into...)
}

// sentError is why there was no answer to a statement that was sent. What pgx says of a
// batch whose connection breaks is that the connection is closed and nothing was sent.
type sentError struct{ error }

func (e *sentError) Unwrap() error { return e.error }

// isUnknown reports whether err leaves open if the statement was carried out: it was
// sent, and err is no answer of PostgreSQL, or the one of a server that breaks off
// (class 57P), or of a pooler that has lost its own connection (class 08).
func isUnknown(err error) bool {
	var unsent *unsentError
	var sent *sentError
	if isVerdict(err) || errors.As(err, &unsent) || !errors.As(err, &sent) && pgconn.SafeToRetry(err) {
		return false
	}
	code := sqlState(err)
	return code == "" || strings.HasPrefix(code, "57P") || class(code) == "08"
}

// isRefusal reports whether err is an answer that says what must be mended, rather than
// a sign of an outage or of bad luck: connections, a transaction that met another,
// resources, an operator's intervention.
func isRefusal(err error) bool {
	switch class(sqlState(err)) {
	case "", "08", "40", "53", "57":
		return false
	}
	return true
}
