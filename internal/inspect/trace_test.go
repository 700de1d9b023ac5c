package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"

	"github.com/redis/go-redis/v9"
)

// told is a story in a few words.
func told(s Story) string {
	parts := []string{fmt.Sprintf("order %d", s.OrderID)}
	if s.Order != nil {
		parts = append(parts, string(s.Order.Status))
	}
	for _, m := range s.Messages {
		text := fmt.Sprintf("%s %s", m.Place, m.CorrelationID)
		switch m.Place {
		case "queue":
			text += fmt.Sprintf(" at %d", m.Position)
		case "processing":
			text += fmt.Sprintf(" by %s, %s, begun %v", m.Instance, m.State, m.Age != nil && m.Age.Duration() >= 7*time.Second)
		case "delayed":
			text += fmt.Sprintf(" for %v", m.Due.Duration().Round(time.Minute))
		case "dead":
			text += fmt.Sprintf(" of %s: %s by %s", m.Reason, m.Error, m.Instance)
		}
		parts = append(parts, fmt.Sprintf("%s, charged %d", text, m.Deliveries))
	}
	for _, e := range s.Events {
		parts = append(parts, e.Event)
	}
	if s.Unsearched > 0 {
		parts = append(parts, fmt.Sprintf("%d unsearched", s.Unsearched))
	}
	return strings.Join(parts, "; ")
}

// Wherever an order's message is, it is found, by the order's id and by the correlation id.
func TestTrace(t *testing.T) {
	t.Parallel()
	const payload = `{"order_id": 3, "product_id": 1, "quantity": 1, "correlation_id": "c-3"}`
	digest := queue.Digest([]byte(payload))
	take := func(b *bench) { must(b.t, b.rdb.LRem(b.t.Context(), b.keys.Queue(), 1, payload).Err()) }
	event := func(b *bench, values ...string) {
		must(b.t, b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{Stream: b.keys.Events(), Values: values}).Err())
	}
	tests := []struct {
		name string
		do   func(b *bench)
		want string
	}{
		{"in the queue", func(*bench) {}, "order 3; pending; queue c-3 at 3, charged 0"},
		{"twice", func(b *bench) {
			must(b.t, b.rdb.RPush(b.t.Context(), b.keys.Queue(), payload).Err())
		}, "order 3; pending; queue c-3 at 4, charged 0; queue c-3 at 1, charged 0"},
		{"in hand", func(b *bench) {
			take(b)
			b.join("w", lease)
			must(b.t, b.rdb.LPush(b.t.Context(), b.keys.Processing("w"), payload).Err())
			begun := b.rdb.Time(b.t.Context()).Val().Add(-7 * time.Second).UnixMilli()
			must(b.t, b.rdb.HSet(b.t.Context(), b.keys.Worker("w"), "order:"+digest, fmt.Sprint(begun, " 3 c-3")).Err())
		}, "order 3; pending; processing c-3 by w, alive, begun true, charged 0"},
		{"in the hand of a ghost, who has not begun", func(b *bench) {
			take(b)
			must(b.t, b.rdb.LPush(b.t.Context(), b.keys.Processing("w"), payload).Err())
		}, "order 3; pending; processing c-3 by w, unregistered, begun false, charged 0"},
		{"delayed", func(b *bench) {
			take(b)
			due := b.rdb.Time(b.t.Context()).Val().Add(time.Hour).UnixMilli()
			must(b.t, b.rdb.ZAdd(b.t.Context(), b.keys.Delayed(), redis.Z{Score: float64(due), Member: payload}).Err())
			must(b.t, b.rdb.HSet(b.t.Context(), b.keys.Deliveries(), digest, 2).Err())
			event(b, "event", "retried", "order_id", "3", "correlation_id", "c-3")
			event(b, "event", "retried", "order_id", "33", "correlation_id", "c-33")
		}, "order 3; pending; delayed c-3 for 1h0m0s, charged 2; retried"},
		{"dead", func(b *bench) {
			take(b)
			b.bury(payload, 3, queue.Rejected)
			event(b, "event", "dead", "order_id", "3", "correlation_id", "c-3")
			event(b, "event", "joined", "instance", "w")
		}, "order 3; pending; dead c-3 of rejected: no by w, charged 2; dead"},
		{"lost, and put back under another correlation id", func(b *bench) {
			take(b)
			event(b, "event", "dead", "order_id", "3", "correlation_id", "c-3")
			must(b.t, b.rdb.RPush(b.t.Context(), b.keys.Queue(), strings.Replace(payload, "c-3", "reconciled-1", 1)).Err())
			event(b, "event", "reconciled", "by", "w", "orders", "2 3 4")
			event(b, "event", "reconciled", "by", "w", "orders", "13 30")
		}, "order 3; pending; queue reconciled-1 at 1, charged 0; dead; reconciled"},
		{"an order that is none", func(b *bench) {
			_, err := b.db.Exec(b.t.Context(), `DELETE FROM orders WHERE id = 3`)
			must(b.t, err)
		}, "order 3; queue c-3 at 3, charged 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.enqueue(40)
			must(t, b.rdb.LPush(t.Context(), b.keys.Queue(), "rubbish", "{}").Err())
			tt.do(b)
			for _, by := range []string{"3", "c-3"} {
				s, err := b.Trace(t.Context(), by)
				must(t, err)
				if got := told(s); got != tt.want {
					t.Errorf("by %s: it tells %q, want %q", by, got, tt.want)
				}
			}
		})
	}
}

func TestTrace_ofWhatIsDone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.db.Exec(t.Context(), `
		ALTER TABLE orders ALTER quantity DROP NOT NULL, ALTER updated_at DROP NOT NULL, ALTER created_at TYPE timestamp;
		INSERT INTO orders (product_id, quantity, status, created_at, updated_at)
		VALUES (5, NULL, 'fulfilled', '2026-01-31 12:00:00', NULL)`)
	must(t, err)
	s, err := b.Trace(t.Context(), "1")
	must(t, err)
	if got := told(s); got != "order 1; fulfilled" {
		t.Errorf("it tells %q", got)
	}
	r := s.Order
	if *r.ProductID != 5 || r.Quantity != nil || r.UpdatedAt != nil || r.CreatedAt.Format(time.RFC3339) != "2026-01-31T12:00:00Z" {
		t.Errorf("the row is %+v", r)
	}
	for _, unknown := range []string{"2", "c-1", "", "-1", "rubbish"} {
		if _, err := b.Trace(t.Context(), unknown); !errors.Is(err, ErrNothing) {
			t.Errorf("of %q it tells %v, want ErrNothing", unknown, err)
		}
	}
}

// What has no order is told all the same.
func TestTrace_ofALetterWithoutOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{
		"payload", "x", "reason", "invalid", "correlation_id", "c-9", "error", "no", "instance", "w",
	}}).Err())
	s, err := b.Trace(t.Context(), "c-9")
	must(t, err)
	if got, want := told(s), "order 0; dead c-9 of invalid: no by w, charged 0"; got != want {
		t.Errorf("it tells %q, want %q", got, want)
	}
}

// A queue that is too long is not searched to its end, and that is said.
func TestTrace_isCut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(40)
	b.mostSearched = 10
	for id, want := range map[string]string{
		"31": "order 31; pending; queue c-31 at 31, charged 0; 30 unsearched",
		"30": "order 30; pending; 30 unsearched",
	} {
		s, err := b.Trace(t.Context(), id)
		must(t, err)
		if got := told(s); got != want {
			t.Errorf("it tells %q, want %q", got, want)
		}
	}
}

// between calls something before the first command of that name.
type between struct {
	name string
	call func()
}

func (h *between) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == h.name {
			h.name = ""
			h.call()
		}
		return next(ctx, cmd)
	}
}

// A message that moves while it looks, from a place that it comes to later to one where it
// has been, is looked for again.
func TestTrace_followsWhatMoves(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(1)
	payload := b.claim("w")
	hookless := redis.NewClient(b.rdb.Options())
	t.Cleanup(func() { _ = hookless.Close() })
	b.Inspector.rdb.AddHook(&between{"zrange", func() { // the queue has been searched, the hands have not
		must(t, hookless.LMove(t.Context(), b.keys.Processing("w"), b.keys.Queue(), "LEFT", "RIGHT").Err())
	}})
	s, err := b.Trace(t.Context(), "1")
	must(t, err)
	if got, want := told(s), "order 1; pending; queue c-1 at 1, charged 0"; got != want {
		t.Errorf("it tells %q, want %q", got, want)
	}
	if !slices.Contains(hookless.LRange(t.Context(), b.keys.Queue(), 0, -1).Val(), payload) {
		t.Error("the message did not move")
	}
}
