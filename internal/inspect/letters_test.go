package inspect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"

	"github.com/redis/go-redis/v9"
)

// bury makes a dead letter.
func (b *bench) bury(payload string, id int, reason queue.Reason) string {
	b.t.Helper()
	letter, err := b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []any{
		"payload", payload, "reason", string(reason), "error", "no", "order_id", id,
		"correlation_id", fmt.Sprintf("c-%d", id), "deliveries", 2, "instance", "w",
	}}).Result()
	must(b.t, err)
	return letter
}

func TestLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.bury("payload", 7, queue.Rejected)
	second, err := b.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{"payload", strings.Repeat("x", 100), "reason", "malformed", "order_id", ""}}).Result()
	must(t, err)
	ids := func(s queue.Selection, limit int) string {
		t.Helper()
		letters, more, err := b.Letters(t.Context(), s, limit)
		must(t, err)
		var text []string
		for _, l := range letters {
			text = append(text, l.ID)
		}
		return fmt.Sprint(text, more)
	}
	for _, tt := range []struct {
		s     queue.Selection
		limit int
		want  string
	}{
		{queue.Selection{}, 0, fmt.Sprint([]string{first, second}, false)},
		{queue.Selection{}, 1, fmt.Sprint([]string{first}, true)},
		{queue.Selection{After: first}, 1, fmt.Sprint([]string{second}, false)},
		{queue.Selection{Newest: true}, 1, fmt.Sprint([]string{second}, true)},
		{queue.Selection{Reason: queue.Rejected}, 1, fmt.Sprint([]string{first}, false)},
	} {
		if got := ids(tt.s, tt.limit); got != tt.want {
			t.Errorf("%+v, %d: it reads %s, want %s", tt.s, tt.limit, got, tt.want)
		}
	}

	l, err := b.Letter(t.Context(), first, 3)
	must(t, err)
	want := Letter{first, l.At, queue.Rejected, "no", 7, "c-7", 2, "w", len("payload"), "pay"}
	now := b.rdb.Time(t.Context()).Val()
	if l != want || now.Sub(l.At).Abs() > time.Minute || l.At.Location() != time.UTC {
		t.Errorf("the letter is %+v, want %+v", l, want)
	}
	if l, err := b.Letter(t.Context(), second, 1000); err != nil || l.OrderID != 0 || l.Bytes != 100 || len(l.Payload) != 100 {
		t.Errorf("the letter is %+v, %v", l, err)
	}
	if _, err := b.Letter(t.Context(), "1-1", 3); !errors.Is(err, ErrNoLetter) {
		t.Errorf("a letter that is not there answers %v, want ErrNoLetter", err)
	}
}

func TestDelayed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(3)
	now := b.rdb.Time(t.Context()).Val()
	for n, payload := range []string{b.claim("w"), b.claim("w"), `{"order_id": 9, "product_id": 1, "quantity": 1, "correlation_id": "c-9"}`, "rubbish"} {
		due := now.Add(time.Duration(n-1) * time.Hour)
		must(t, b.rdb.ZAdd(t.Context(), b.keys.Delayed(), redis.Z{Score: float64(due.UnixMilli()), Member: payload}).Err())
		must(t, b.rdb.HSet(t.Context(), b.keys.Deliveries(), queue.Digest([]byte(payload)), n).Err())
	}
	_, err := b.db.Exec(t.Context(), `UPDATE orders SET status = 'processing' WHERE id = 2`)
	must(t, err)
	for _, tt := range []struct {
		limit int64
		want  string
	}{
		{0, "1 c-1 pending -1h 0, 2 c-2 processing 0h 1, 9 c-9  1h 2, 0   2h 3 rubbish"},
		{2, "1 c-1 pending -1h 0, 2 c-2 processing 0h 1"},
	} {
		messages, total, err := b.Delayed(t.Context(), tt.limit)
		must(t, err)
		var text []string
		for _, m := range messages {
			text = append(text, strings.TrimSpace(fmt.Sprintf("%d %s %s %.0fh %d %s",
				m.OrderID, m.CorrelationID, m.Status, m.Due.Duration().Hours()+0.001, m.Deliveries, m.Payload)))
		}
		if got := strings.Join(text, ", "); got != tt.want || total != 4 {
			t.Errorf("limit %d: it shows %s of %d, want %s of 4", tt.limit, got, total, tt.want)
		}
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(3)
	b.join("a", lease)
	b.claim("a")
	b.claim("a")
	began := b.rdb.Time(t.Context()).Val().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	must(t, b.rdb.HSet(t.Context(), b.keys.Worker("a"), "pid", 7, "version", "1.2", "concurrency", 10, "started_at", began.UnixMilli()).Err())
	b.claim("ghost")
	instances, err := b.Instances(t.Context())
	must(t, err)
	if len(instances) != 2 {
		t.Fatalf("there are %+v, want two", instances)
	}
	a, ghost := instances[0], instances[1]
	if a.LeaseLeft == nil || a.LeaseLeft.Duration() > lease || a.Since == nil || *a.Since != began || a.Age.Duration() < time.Hour {
		t.Errorf("its lease has %v left, it began at %v, %v ago; want %v and an hour", a.LeaseLeft, a.Since, a.Age, began)
	}
	a.LeaseLeft, a.Since, a.Age = nil, nil, nil
	if want := (Instance{Instance: "a", State: Alive, Host: "box", PID: 7, Version: "1.2", Concurrency: 10, InHand: 2}); a != want {
		t.Errorf("it is %+v, want %+v", a, want)
	}
	if want := (Instance{Instance: "ghost", State: Unregistered, InHand: 1}); ghost != want {
		t.Errorf("the other is %+v, want %+v", ghost, want)
	}
}
