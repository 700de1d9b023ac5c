package db_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/testenv"
)

// alone runs look and fails the test if it was not let in.
func (b *bench) alone(look func(*db.Stale) error) {
	b.Helper()
	alone, err := b.orders.Alone(b.bounded(), "q", time.Minute, look)
	must(b, err)
	if !alone {
		b.Fatal("somebody else is at it")
	}
}

// exec runs a statement as the superuser.
func (b *bench) exec(sql string, args ...any) {
	b.Helper()
	_, err := b.admin.Exec(b.Context(), sql, args...)
	must(b, err)
}

func TestStale_orders(t *testing.T) {
	const fresh, old = "now()", "now() - interval '2 minutes'"
	tests := []struct {
		status, created, updated string // SQL
		stale                    bool
	}{
		{"'pending'", old, old, true},
		{"'processing'", old, old, true},
		{"'pending'", "NULL", "NULL", true},
		{"'pending'", old, "NULL", true},
		{"'pending'", fresh, "NULL", false},
		{"'processing'", old, fresh, false},
		{"'fulfilled'", old, old, false},
		{"'cancelled'", old, old, false},
	}
	b := newBench(t)
	b.exec(`ALTER TABLE orders ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL`)
	var want []int64
	for i, tt := range tests {
		b.exec(fmt.Sprintf(`INSERT INTO orders (product_id, quantity, status, created_at, updated_at) VALUES (7, 5, %s, %s, %s)`, tt.status, tt.created, tt.updated))
		if tt.stale {
			want = append(want, int64(i+1))
		}
	}
	b.alone(func(s *db.Stale) error {
		all, err := s.IDs(t.Context(), math.MaxInt64)
		must(t, err)
		if !slices.Equal(all, want) {
			t.Errorf("the stale orders are %v, want %v", all, want)
		}
		below, err := s.IDs(t.Context(), want[1])
		must(t, err)
		if !slices.Equal(below, want[:1]) {
			t.Errorf("those below %d are %v, want %v", want[1], below, want[:1])
		}
		b.exec(`UPDATE orders SET updated_at = clock_timestamp() WHERE id = 2`)
		b.exec(`UPDATE orders SET status = 'fulfilled', updated_at = NULL WHERE id = 3`)
		messages, err := s.Messages(t.Context(), all)
		must(t, err)
		if len(messages) != 2 || messages[0].OrderID != 1 || messages[0].ProductID != 7 || messages[0].Quantity != 5 || messages[1].OrderID != 4 {
			t.Errorf("the messages are %+v, want those of 1 and 4: the others were touched meanwhile", messages)
		}
		return nil
	})
}

// The table may keep its dates without a zone; they are UTC then.
func TestStale_datesWithoutZone(t *testing.T) {
	b := newBench(t)
	b.exec(`ALTER TABLE orders ALTER updated_at TYPE timestamp, ALTER updated_at SET DEFAULT (now() AT TIME ZONE 'UTC')`)
	b.exec(`INSERT INTO orders (product_id, quantity) VALUES (1, 1)`)
	b.exec(`INSERT INTO orders (product_id, quantity, updated_at) VALUES (1, 1, now() AT TIME ZONE 'UTC' - interval '2 minutes')`)
	b.alone(func(s *db.Stale) error {
		ids, err := s.IDs(t.Context(), math.MaxInt64)
		must(t, err)
		if !slices.Equal(ids, []int64{2}) {
			t.Errorf("the stale orders are %v, want 2", ids)
		}
		return nil
	})
}

func TestAlone(t *testing.T) {
	b := newBench(t)
	other := openAt(t, testenv.WorkerURL(b.url), 1)
	let := func(o *db.Orders, name string) bool {
		t.Helper()
		alone, err := o.Alone(b.bounded(), name, time.Minute, func(*db.Stale) error { return nil })
		must(t, err)
		return alone
	}
	b.alone(func(*db.Stale) error {
		if let(other, "q") {
			t.Error("two are at it")
		}
		if !let(other, "r") {
			t.Error("another queue's is kept out")
		}
		return nil
	})
	if !let(other, "q") {
		t.Error("it is over, and another is kept out")
	}
	failure := errors.New("no luck")
	if _, err := b.orders.Alone(b.bounded(), "q", time.Minute, func(*db.Stale) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("the error is %v, want %v", err, failure)
	}
	if !let(other, "q") {
		t.Error("it has failed, and another is kept out")
	}
}

// Who dies or freezes in the middle of a look keeps the others out for no longer than a
// moment.
func TestAlone_successor(t *testing.T) {
	t.Run("of the dead", func(t *testing.T) {
		b := newBench(t)
		b.alone(func(s *db.Stale) error {
			b.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`)
			b.comesIn()
			return nil
		})
	})
	t.Run("of the frozen", func(t *testing.T) {
		b := newBench(t)
		b.orders.FreezeAfter(2 * time.Second)
		b.alone(func(s *db.Stale) error {
			for range 5 {
				must(t, s.Touch(t.Context()))
				<-time.After(time.Second) // it is slow, and not frozen
			}
			b.comesIn() // while this one asks nothing
			if _, err := s.Messages(t.Context(), []int64{1}); err == nil {
				t.Error("it wakes, and goes on beside its successor")
			}
			return nil
		})
	})
}

// comesIn waits until another process is let in.
func (b *bench) comesIn() {
	b.Helper()
	other := openAt(b.T, testenv.WorkerURL(b.url), 1)
	testenv.Eventually(b, 20*time.Second, "another is let in", func() bool {
		alone, err := other.Alone(context.WithoutCancel(b.Context()), "q", time.Minute, func(*db.Stale) error { return nil })
		must(b, err)
		return alone
	})
}

// With the index that Alone's comment names, the fulfilled orders cost nothing.
func TestStale_index(t *testing.T) {
	b := newBench(t)
	b.exec(`INSERT INTO orders (product_id, quantity, status) SELECT 1, 1, 'fulfilled' FROM generate_series(1, 20000)`)
	b.exec(`INSERT INTO orders (product_id, quantity, updated_at) SELECT 1, 1, now() - interval '1 hour' FROM generate_series(1, 3)`)
	b.exec(`CREATE INDEX stale_orders ON orders (id) WHERE status IN ('pending', 'processing')`)
	b.exec(`VACUUM ANALYZE orders`)
	var plan string
	rows, err := b.admin.Query(t.Context(), "EXPLAIN "+strings.NewReplacer("$1", "60", "$2", "9223372036854775807").Replace(db.StaleIDs))
	must(t, err)
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		plan += line + "\n"
	}
	must(t, rows.Err())
	if !strings.Contains(plan, "stale_orders") {
		t.Errorf("the plan does not use the index:\n%s", plan)
	}
}
