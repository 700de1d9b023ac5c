package db

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/order"

	"github.com/jackc/pgx/v5"
)

// A statement is SQL about given (id, version), once for one order and once for many. It
// returns id, version, status and age of those for which its guard holds, or the first so
// many columns of these.
type statement struct {
	one, many string
	columns   int
}

func about(columns int, sql string) statement {
	from := func(given string) string {
		return strings.Replace(sql, "FROM given", "FROM "+given+" AS given (id, version)", 1)
	}
	return statement{one: from("(VALUES ($1::bigint, $2::xid))"), many: from("unnest($1::bigint[], $2::xid[])"), columns: columns}
}

// Each change of a row is one of these statements; its guard stands in its WHERE.
var (
	claimSQL = about(2, `
		UPDATE orders SET status = 'processing', updated_at = now() FROM given
		WHERE orders.id = given.id AND (status = 'pending' OR status = 'processing' AND orders.xmin = version)
		RETURNING given.id, orders.xmin`)
	finishSQL = about(1, `
		UPDATE orders SET status = 'fulfilled', updated_at = now() FROM given
		WHERE orders.id = given.id AND status = 'processing' AND orders.xmin = version
		RETURNING given.id`)
	lookSQL = about(4, `
		SELECT given.id, orders.xmin, coalesce(status, ''), coalesce(extract(epoch FROM now() - updated_at), 'infinity')::float8
		FROM given JOIN orders ON orders.id = given.id`)
)

// forMany is for the transaction of a statement about many orders, and says nothing to
// later ones, so that a pooler may stand between. PostgreSQL believes that few rows are
// in processing; it would rather read the whole table to find them than look each order
// up by its id, and do so more slowly the longer the table is. And a row that
// somebody else keeps locked must not hold up all the others.
const forMany = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('lock_timeout', '200ms', true)`

// forBoth is that for the transaction of two statements about one order each.
const forBoth = `SELECT set_config('lock_timeout', '200ms', true)`

// mostOrders is how many orders one statement is about at most: more of them take so much
// longer that they wait for each other.
const mostOrders = 512

// change asks for a step of one order.
type change struct {
	id      int64
	version string // that the row must have, where the guard says so
}

// xid is the version as PostgreSQL has it; 0, which no row has, where none is given.
func (c change) xid() uint32 {
	if c.version == "" { // mostly, and an error would take its time
		return 0
	}
	n, err := strconv.ParseUint(c.version, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// row is what a statement returns of one.
type row struct {
	status order.Status
	token  Token
	age    time.Duration // since its last change
}

// errGuard means that there is no row for which the statement's guard holds.
var errGuard = errors.New("no such row in that state")

// errTogether means that nothing was done for anybody, because of one order among many.
var errTogether = errors.New("an order among many fails")

type call = groupcommit.Call[change, row]

// step is a statement that callers share: one transaction for all that gathered during
// the one before.
type step struct {
	*Orders
	statement
	group *groupcommit.Group[change, int64, row]
}

func (o *Orders) newStep(s statement) *step {
	st := &step{Orders: o, statement: s}
	st.group = groupcommit.New(func(c change) int64 { return c.id }, mostOrders, st.flush)
	return st
}

// do runs the statement for one order. What one order has against it is nobody else's
// error: everyone goes alone then.
func (s *step) do(c change) (row, error) { return s.doAfter(nil, c) }

// doAfter is do for an order that was tried before, together with others, with that error.
func (s *step) doAfter(err error, c change) (seen row, _ error) {
	if !errors.Is(err, errTogether) {
		seen, err = s.group.Do(c)
	}
	if errors.Is(err, errTogether) {
		alone := &call{Request: c}
		s.flush([]*call{alone})
		return alone.Answer, alone.Err
	}
	return seen, err
}

// flush runs the statement for all the calls.
func (s *step) flush(calls []*call) {
	flush(calls, func(ctx context.Context) error {
		if len(calls) == 1 {
			return s.runOne(ctx, calls[0])
		}
		return s.runMany(ctx, calls)
	})
}

// flushBoth finishes the order of the first call and claims that of the second.
func (o *Orders) flushBoth(calls []*call) {
	flush(calls, func(ctx context.Context) error { return o.runBoth(ctx, calls[0], calls[1]) })
}

// flush lets run answer the calls, whatever becomes of their callers.
func flush(calls []*call, run func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	for _, c := range calls {
		c.Err = errGuard // unless a statement returns it
	}
	err := run(ctx)
	if err == nil {
		return
	}
	if len(calls) > 1 && isOfOne(err) {
		err = errTogether
	}
	for _, c := range calls {
		c.Answer, c.Err = row{}, err
	}
}

func (s *step) runOne(ctx context.Context, c *call) error {
	return s.answerOne(c, func(into ...any) error {
		return s.query(ctx, into, s.one, c.Request.id, c.Request.xid())
	})
}

// answerOne gives the call what was returned of its order, if anything was.
func (s *statement) answerOne(c *call, scan func(into ...any) error) error {
	var id int64
	var got returned
	err := scan(got.into(&id)[:s.columns]...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	c.Answer, c.Err = got.row(), nil
	return err
}

// runMany goes through the orders by their ids, so that two workers never wait for each
// other's rows crosswise.
func (s *step) runMany(ctx context.Context, calls []*call) error {
	byID := func(a, b *call) int { return cmp.Compare(a.Request.id, b.Request.id) }
	slices.SortFunc(calls, byID)
	ids, versions := make([]int64, len(calls)), make([]uint32, len(calls))
	for i, c := range calls {
		ids[i], versions[i] = c.Request.id, c.Request.xid()
	}
	var batch pgx.Batch
	batch.Queue(forMany)
	batch.Queue(s.many, ids, versions)
	return s.send(ctx, &batch, func(results pgx.BatchResults) error { return s.answer(results, ids, calls) })
}

// runBoth waits no longer for the row of the one order than the other may be held up.
func (o *Orders) runBoth(ctx context.Context, finish, claim *call) error {
	var batch pgx.Batch
	batch.Queue(forBoth)
	batch.Queue(finishSQL.one, finish.Request.id, finish.Request.xid())
	batch.Queue(claimSQL.one, claim.Request.id, claim.Request.xid())
	return o.send(ctx, &batch, func(results pgx.BatchResults) error {
		return cmp.Or(finishSQL.answerOne(finish, results.QueryRow().Scan), claimSQL.answerOne(claim, results.QueryRow().Scan))
	})
}

// send runs statements in one transaction, of which the first prepares for the others.
func (o *Orders) send(ctx context.Context, batch *pgx.Batch, read func(pgx.BatchResults) error) error {
	conn, err := o.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	results := conn.SendBatch(ctx, batch)
	_, err = results.Exec()
	if err == nil {
		err = read(results)
	}
	if closed := results.Close(); err == nil {
		err = closed // it has committed, or has not
	}
	if err != nil && sqlState(err) == "" {
		err = &sentError{err}
	}
	return err
}

// answer gives the calls, which are in the order of their ids, what was returned of them.
func (s *step) answer(results pgx.BatchResults, ids []int64, calls []*call) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	var id int64
	var got returned
	_, err = pgx.ForEachRow(rows, got.into(&id)[:s.columns], func() error {
		if n, found := slices.BinarySearch(ids, id); found {
			calls[n].Answer, calls[n].Err = got.row(), nil
		}
		return nil
	})
	return err
}

// returned is a row as PostgreSQL returns it.
type returned struct {
	status  string
	version uint32
	seconds float64

	token   Token // of the version tokenOf: rows that were changed together share it
	tokenOf uint32
}

func (r *returned) into(id *int64) []any { return []any{id, &r.version, &r.status, &r.seconds} }

func (r *returned) row() row {
	if r.version != r.tokenOf {
		r.token, r.tokenOf = Token(strconv.FormatUint(uint64(r.version), 10)), r.version
	}
	return row{
		status: order.Status(r.status), token: r.token,
		// A row without a date is as old as need be, but no longer than a Duration.
		age: time.Duration(min(r.seconds, 1e9) * float64(time.Second)),
	}
}

// isOfOne reports whether err, by which a statement about many orders did nothing for any
// of them, may be the fault of one: the row refuses the change, or somebody else holds it.
func isOfOne(err error) bool {
	switch sqlState(err) {
	case "55P03", "57014": // its lock was not to be had in time, nor the answer
		return true
	}
	return ownFault(err) || class(sqlState(err)) == "40" // it met another transaction
}
