package db

import (
	"context"
	"time"

	"fulfillment-worker/internal/metrics"

	"github.com/jackc/pgx/v5"
)

// Measure has what is done counted in m. Call it before anything else.
func (o *Orders) Measure(m *metrics.Metrics) {
	o.metrics = m
	m.Pool("postgres", func() metrics.Pool {
		s := o.pool.Stat()
		return metrics.Pool{
			Most: int(s.MaxConns()), Open: int(s.TotalConns()), Idle: int(s.IdleConns()), Opened: uint64(s.NewConnsCount()),
			Waits: uint64(s.EmptyAcquireCount()), Waited: s.EmptyAcquireWaitTime(), Timeouts: uint64(s.CanceledAcquireCount()),
		}
	})
}

// statementNames are those of those that matter, by their text; all others are "other".
var statementNames = map[string]string{
	claimSQL.one: "claim", finishSQL.one: "finish", lookSQL.one: "look",
	claimSQL.many: "claim", finishSQL.many: "finish", lookSQL.many: "look",
	fitSQL: "fit", staleIDs: "stale_ids", staleMessages: "stale_messages",
}

const finishAndClaim = "finish_and_claim" // in one transaction, see [Orders.FinishAndClaim]

func nameOf(sql string) string {
	if name, ok := statementNames[sql]; ok {
		return name
	}
	return "other"
}

// meter is told by pgx when a statement is sent and when its answer was read.
type meter struct{ *Orders }

type asked struct {
	statement string
	orders    int // of a statement about many; 0: each has its own
	at        time.Time
}

type askedKey struct{}

func (meter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, askedKey{}, asked{statement: nameOf(data.SQL), at: time.Now()})
}

func (m meter) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if q, ok := ctx.Value(askedKey{}).(asked); ok {
		m.metrics.Postgres(q.statement, time.Since(q.at), outcome(data.Err))
	}
}

// TraceBatchStart goes by all but the batch's first statement, which prepares for them.
func (meter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	statements := data.Batch.QueuedQueries[1:]
	if len(statements) > 1 {
		return context.WithValue(ctx, askedKey{}, asked{statement: finishAndClaim, at: time.Now()})
	}
	ids, _ := statements[0].Arguments[0].([]int64)
	return context.WithValue(ctx, askedKey{}, asked{nameOf(statements[0].SQL), len(ids), time.Now()})
}

func (meter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (m meter) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	if q, ok := ctx.Value(askedKey{}).(asked); ok {
		m.metrics.PostgresTogether(q.statement, q.orders, time.Since(q.at), outcome(data.Err))
	}
}

func outcome(err error) metrics.Outcome {
	switch {
	case err == nil:
		return metrics.Answered
	case sqlState(err) != "":
		return metrics.Refused
	}
	return metrics.Unanswered
}
