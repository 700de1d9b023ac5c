package testenv

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Step is one row of the audit: an order's INSERT, where Old is empty, or one
// UPDATE of it, whether or not that changed its status.
type Step struct {
	Seq     int64
	OrderID int64
	Old     string
	New     string
	XID     int64 // the transaction
	At      time.Time
}

// String says the step as the contract does.
func (s Step) String() string {
	return fmt.Sprintf("order %d: %s → %s (step %d)", s.OrderID, s.Old, s.New, s.Seq)
}

func (s Step) insert() bool   { return s.Old == "" }
func (s Step) takeover() bool { return s.Old == "processing" && s.New == "processing" }

// Audit reads every committed step in that database, in the order in which they
// were made. The URL is the superuser's.
func Audit(ctx context.Context, url string) ([]Step, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT seq, order_id, coalesce(old, ''), new, xid, at FROM audit ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Step])
}

// Violations says what in the steps breaks the contract, an error each: a step
// other than pending → processing, processing → processing and processing →
// fulfilled, and a second fulfilment. An order may begin in any status.
func Violations(steps []Step) []error {
	allowed := map[[2]string]bool{
		{"pending", "processing"}:    true,
		{"processing", "processing"}: true,
		{"processing", "fulfilled"}:  true,
	}
	var found []error
	fulfilled := map[int64]bool{}
	for _, s := range steps {
		if !s.insert() && !allowed[[2]string{s.Old, s.New}] {
			found = append(found, fmt.Errorf("forbidden step, %v", s))
		}
		if s.New != "fulfilled" || s.Old == "fulfilled" {
			continue // not a fulfilment
		}
		if fulfilled[s.OrderID] {
			found = append(found, fmt.Errorf("fulfilled again, %v", s))
		}
		fulfilled[s.OrderID] = true
	}
	return found
}

// CheckContract fails the test for each of the [Violations] in that database. The
// URL is the superuser's.
func CheckContract(tb testing.TB, url string) {
	tb.Helper()
	for _, err := range Violations(audit(tb, url)) {
		tb.Error(err)
	}
}

// CountTakeovers counts the steps processing → processing. The URL is the
// superuser's.
func CountTakeovers(tb testing.TB, url string) int {
	tb.Helper()
	n := 0
	for _, s := range audit(tb, url) {
		if s.takeover() {
			n++
		}
	}
	return n
}

// audit works in a clean-up too.
func audit(tb testing.TB, url string) []Step {
	tb.Helper()
	ctx, cancel := cleanUpContext(tb)
	defer cancel()
	steps, err := Audit(ctx, url)
	must(tb, err)
	return steps
}
