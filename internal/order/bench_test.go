package order_test

import (
	"strings"
	"testing"

	"fulfillment-worker/internal/order"
)

// ordinary is a message as the Order API writes it.
const ordinary = `{"order_id": 184467, "product_id": 3, "quantity": 2, ` +
	`"correlation_id": "0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11", "timestamp": "2026-01-31T12:00:00.123456"}`

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct{ name, payload string }{
		{"ordinary", ordinary},
		{"trace", strings.Replace(ordinary, "}", `, "traceparent": "`+parent+`", "tracestate": "a=1"}`, 1)},
		{"zone", valid(`, "timestamp": "2026-01-31T12:00:00.123456+00:00"`)},
		{"unknown_fields", valid(`, "priority": "high", "tags": [1, null], "nested": {"order_id": "x"}`)},
		{"escapes", valid(`, "correlation_id": "a\n\"\u00e9"`)},
		{"invalid", valid(`, "quantity": 0`)},
		{"malformed", valid(`, "quantity": "two"`)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			payload := []byte(bb.payload)
			for b.Loop() {
				_, _ = order.Decode(payload)
			}
		})
	}
}

// (Not parallel: others would be counted, too.)
func TestDecode_takesFewAllocations(t *testing.T) {
	payload := []byte(ordinary)
	if allocations := testing.AllocsPerRun(1000, func() { _, _ = order.Decode(payload) }); allocations > 5 {
		t.Errorf("an ordinary message takes %v allocations, want 5 at most", allocations)
	}
}
