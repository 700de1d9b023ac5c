package main

import (
	"context"
	_ "embed"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed audit.sql
var auditSchema string

const removeAudit = `DROP TRIGGER IF EXISTS chaos_audit ON orders; DROP FUNCTION IF EXISTS chaos_audit; DROP TABLE IF EXISTS chaos_audit`

const auditEvery = 50 * time.Millisecond

// auditor reads the audit and deletes what it has read: a run of hours leaves no more of
// it than one of seconds.
type auditor struct {
	*clients
	history *history
	read    map[int64]bool // not yet deleted for sure
}

// auditRow is a step of an order.
type auditRow struct {
	Seq      int64
	Order    int64
	Old, New string
	By       string
	At       time.Time
}

// run follows the audit until ctx is done.
func (a *auditor) run(ctx context.Context) {
	for sleep(ctx, auditEvery) {
		_, _ = a.once(ctx) // the database is away at times
	}
}

// finish reads what is left.
func (a *auditor) finish(ctx context.Context) error {
	return persist(ctx, "read the audit", func(ctx context.Context) error {
		for {
			if n, err := a.once(ctx); err != nil || n == 0 {
				return err
			}
		}
	})
}

// once takes some rows into the history, each once, whatever becomes of the DELETE.
func (a *auditor) once(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rows, err := a.db.Query(ctx, `SELECT seq, order_id, coalesce(old, ''), coalesce(new, ''), by, at FROM chaos_audit ORDER BY seq LIMIT 5000`)
	if err != nil {
		return 0, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[auditRow])
	if err != nil {
		return 0, err
	}
	seen := time.Now()
	seqs := make([]int64, len(found))
	for i, r := range found {
		seqs[i] = r.Seq
		if a.read[r.Seq] {
			continue
		}
		a.read[r.Seq] = true
		a.history.add(event{what: row, order: r.Order, actor: r.By, at: r.At, seen: seen, old: r.Old, new: r.New})
	}
	if len(seqs) == 0 {
		return 0, nil
	}
	if _, err := a.db.Exec(ctx, `DELETE FROM chaos_audit WHERE seq = ANY($1)`, seqs); err != nil {
		return 0, err
	}
	for _, seq := range seqs {
		delete(a.read, seq)
	}
	return len(found), nil
}
