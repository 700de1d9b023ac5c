package inspect

import (
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.enqueue(4)
	must(t, b.rdb.RPush(t.Context(), b.keys.Queue(), `{"timestamp": "2026-01-31T12:00:00"}`, strings.Repeat("<", 5000)).Err())
	messages, total, err := b.Next(t.Context(), 4)
	must(t, err)
	if total != 6 || len(messages) != 4 {
		t.Fatalf("it tells of %d messages of %d, want 4 of 6", len(messages), total)
	}
	huge, invalid, first := messages[0], messages[1], messages[2]
	if huge.Bytes != 5000 || huge.Payload != strings.Repeat("<", longestHead) || huge.Age != nil {
		t.Errorf("of the huge one it says %d bytes, %d of them shown, age %v", huge.Bytes, len(huge.Payload), huge.Age)
	}
	if invalid.Age == nil || invalid.Payload == "" {
		t.Errorf("of the invalid one it says %+v", invalid)
	}
	if first.OrderID != 1 || first.CorrelationID != "c-1" || first.Payload != "" {
		t.Errorf("first it says %+v, want order 1", first)
	}
}

// TestNext_readsLittle bounds what one look takes out of Redis.
func TestNext_readsLittle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 40 {
		must(t, b.rdb.LPush(t.Context(), b.keys.Queue(), strings.Repeat("x", 100_000)).Err())
	}
	messages, total, err := b.Next(t.Context(), 40)
	must(t, err)
	if total != 40 || len(messages) != 11 {
		t.Errorf("it read %d messages of 100 kB, of %d, want the 11 that make a megabyte", len(messages), total)
	}
}
