package traces

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
)

// Where nobody asks for traces they cost nothing. (Not parallel: others' allocations would
// be counted, too.)
func TestTracer_costsNothingWhereNobodyAsks(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	tracer, err := New("test", "1", slog.New(slog.DiscardHandler))
	if tracer != nil || err != nil {
		t.Fatalf("New returned %v, %v, want none", tracer, err)
	}
	ctx, message := t.Context(), order.Message{OrderID: 17, CorrelationID: "c", Traceparent: "00-1-2-01"}
	var d queue.Delivery
	allocations := testing.AllocsPerRun(1000, func() {
		o := tracer.Follow(&d, message)
		o.Enter(Row)
		o.TakenOver()
		o.Enter(Start)
		o.Number(2)
		o.Enter(Work)
		if o.Context(ctx) != ctx || o.Pass(message) != message {
			t.Error("it changes something")
		}
		o.Enter(Finish)
		tracer.Close()
	})
	if allocations != 0 {
		t.Errorf("an order takes %v allocations, want none", allocations)
	}
}

func TestComplaints_areRare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &complaints{log: logger.New(&out, "test", slog.LevelInfo)}
		for range 1000 { // for ten minutes
			c.Handle(errors.New("connection refused"))
			<-time.After(600 * time.Millisecond)
		}
		if n := strings.Count(out.String(), `"level":"warn"`); n != 10 {
			t.Errorf("%d complaints in ten minutes, want one a minute", n)
		}
	})
}

func TestComplaints_holdNoSecrets(t *testing.T) {
	t.Parallel()
	tests := []struct{ said, want string }{
		{
			`traces export: Post "https://canary:canary@shop.example/canary?key=canary": dial tcp: refused`,
			`traces export: Post "[not shown]": dial tcp: refused`,
		},
		{
			"failed to send to http://shop.example/canary: 401 Unauthorized (body: no such key:\ncanary)",
			"failed to send to [not shown] 401 Unauthorized [not shown]",
		},
		{"unsupported sampler: often", "unsupported sampler: often"},
	}
	for _, tt := range tests {
		if got := withoutSecrets(errors.New(tt.said)).Error(); got != tt.want {
			t.Errorf("it says %q, want %q", got, tt.want)
		}
	}
}
