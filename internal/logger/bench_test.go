package logger_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"fulfillment-worker/internal/logger"
)

func BenchmarkHandler(b *testing.B) {
	log := logger.New(io.Discard, "fulfillment-worker", slog.LevelInfo).With("worker", "4f1c2d7e90ab")
	ctx := logger.WithOrder(context.Background(), 184467, "0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11")
	took := 812 * time.Millisecond
	err := errors.New("dial tcp 127.0.0.1:5432: connection refused")
	for _, bb := range []struct {
		name string
		log  func()
	}{
		{"ordinary", func() {
			log.InfoContext(ctx, "Order 184467 fulfilled", "delivery", 1, "processing_duration_ms", took.Milliseconds())
		}},
		{"message_alone", func() { log.InfoContext(ctx, "Order was fulfilled before, message dropped") }},
		{"error_and_duration", func() { log.WarnContext(ctx, "failed", "error", err, "retry_in", took) }},
		{"escapes", func() { log.InfoContext(ctx, "a \"quoted\" <message>", "text", "é\n") }},
		{"same_key_twice", func() { log.InfoContext(ctx, "m", "order_id", 1, "worker", "x") }},
		{"below_the_level", func() { log.DebugContext(ctx, "m", "delivery", 1) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bb.log()
			}
		})
	}
}

func BenchmarkWithOrder(b *testing.B) {
	b.ReportAllocs()
	var ctx context.Context
	for b.Loop() {
		ctx = logger.WithOrder(context.Background(), 184467, "0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11")
	}
	runtime.KeepAlive(ctx)
}

// A line takes what the caller's any takes, and nothing of the handler's. (Not parallel:
// others would be counted, too. The race detector takes lines out of the pool.)
func TestHandler_takesFewAllocations(t *testing.T) {
	log := logger.New(io.Discard, "fulfillment-worker", slog.LevelInfo).With("worker", "4f1c2d7e90ab")
	ctx := logger.WithOrder(t.Context(), 184467, "0b6c1a52-8f0e-4a52-9b0e-2f7d0a3c9e11")
	took := 812 * time.Millisecond
	allocations := testing.AllocsPerRun(1000, func() {
		log.InfoContext(ctx, "Order 184467 fulfilled", "delivery", 1, "processing_duration_ms", took.Milliseconds())
	})
	if allocations > 3 {
		t.Errorf("a line takes %v allocations, want 3 at most", allocations)
	}
}
