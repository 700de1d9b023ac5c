package queue_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/testenv"
)

func TestQueue_front(t *testing.T) {
	long := strings.Repeat("x", 1001)
	tests := []struct {
		name    string
		waiting []string // the first to be the first out
		want    []string
		more    bool
	}{
		{"an empty queue", nil, nil, false},
		{"a short one", names("m", 3), names("m", 3), false},
		{"as much as one look takes", names("m", 500), names("m", 500), false},
		{"more than that", names("m", 501), names("m", 500), true},
		{"what is too long to be a message is not read", []string{"a", long, "b"}, []string{"a", "b"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.push(tt.waiting...)
			got, more, err := b.queue(b.url, silent()).Front(t.Context())
			must(t, err)
			if !slices.Equal(got, tt.want) || more != tt.more {
				t.Errorf("%d messages, and more: %v; want %d, %v", len(got), more, len(tt.want), tt.more)
			}
		})
	}
}

// Every message that is not in the queue is seen, whoever holds it, but for those that
// are too long to be one; of the dead letters their orders.
func TestQueue_elsewhere(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	want := append(names("delayed", 700), "in hand", "in a lane", "in an orphan's hand")
	for _, payload := range want[:700] {
		must(t, b.rdb.ZAdd(ctx, b.keys.Delayed(), redis.Z{Score: 1e15, Member: payload}).Err())
	}
	b.holding("w-1", 0, "in hand", strings.Repeat("x", 1001))
	b.holding("w-1:2", 0, "in a lane")
	must(t, b.rdb.LPush(ctx, b.keys.Processing("gone"), "in an orphan's hand").Err())
	b.push("waiting")
	var letters []string
	for _, id := range names("", 1200) {
		must(t, b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{"payload", "order_id", "order_id", id, "reason", "x"}}).Err())
		letters = append(letters, id)
	}
	must(t, b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{"payload", "?", "order_id", ""}}).Err())

	var messages, orders []string
	must(t, b.queue(b.url, silent()).Elsewhere(ctx,
		func(payload string) { messages = append(messages, payload) },
		func(id string) { orders = append(orders, id) }))
	slices.Sort(messages)
	slices.Sort(want)
	if !slices.Equal(messages, want) {
		t.Errorf("%d messages are seen, want %d", len(messages), len(want))
	}
	if !slices.Equal(orders, letters) {
		t.Errorf("%d dead letters' orders are seen, want %d", len(orders), len(letters))
	}
}

// A message that is put back and whose answer is lost is sent once.
func TestQueue_putBackRepeatsNothing(t *testing.T) {
	b := newBench(t)
	proxy := testenv.NewProxy(t, b.rdb.Options().Addr)
	q := b.queue("redis://"+proxy.Addr(), silent())
	must(t, q.PutBack(t.Context(), []string{"first"}, []string{"1"})) // the script is known
	proxy.LoseReplies(1, "evalsha", nil)
	if err := q.PutBack(t.Context(), []string{"second"}, []string{"2"}); err == nil {
		t.Error("no error, want one: the answer was lost")
	}
	if got := b.list(b.keys.Queue()); !slices.Equal(got, []string{"second", "first"}) {
		t.Errorf("the queue is %v, want second, first", got)
	}
}
