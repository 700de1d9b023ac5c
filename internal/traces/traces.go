// Package traces tells an OpenTelemetry collector how each delivery of an order went: one
// span from the claim of its message until that is settled, with a child for each stage.
//
// # What callers may rely on
//
//   - It does so only where the standard OTEL_* variables ask for it. Elsewhere [New]
//     returns nil, and the methods of a nil [Tracer] and a nil [Order] do nothing.
//   - No order waits for the collector, or fails over it: what that does not take in time
//     is lost. What goes wrong is logged once a minute at most.
//   - A trace context that came with a message is continued.
//
// # What this package never does
//
//   - It never writes to standard error, and never logs where the collector is or what
//     that answered: credentials may stand in both.
package traces

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// flushTimeout is how long the collector may take for the last spans.
const flushTimeout = time.Second

// Tracer makes the traces. A nil Tracer makes none.
type Tracer struct {
	provider *sdktrace.TracerProvider
	spans    trace.Tracer
}

// New returns the tracer that the environment asks for, or nil. The service's name and
// version stand in each trace, unless the environment names others.
func New(service, version string, log *slog.Logger) (*Tracer, error) {
	wanted, err := asked()
	if !wanted || err != nil {
		return nil, err
	}
	otel.SetLogger(logr.Discard()) // it would write to standard error what it was given
	otel.SetErrorHandler(&complaints{log: log})
	about, err := resource.New(context.Background(),
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptracehttp.New(context.Background())
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", withoutSecrets(err))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &Tracer{provider, provider.Tracer("fulfillment-worker/internal/traces")}, nil
}

// Close sends what there is still to send. It takes a second at most.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}
