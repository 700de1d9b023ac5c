package traces

import (
	"context"
	"time"

	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Stage is a part of a delivery. They follow each other without a gap.
type Stage struct {
	name  string
	kind  trace.SpanKind
	about []attribute.KeyValue
}

var (
	redis    = semconv.MessagingSystemKey.String("redis")
	postgres = []attribute.KeyValue{semconv.DBSystemNamePostgreSQL, semconv.DBCollectionName("orders"), semconv.DBOperationName("UPDATE")}
)

// The stages of a delivery. In Row the order is claimed in PostgreSQL, in Start it waits for
// its turn, and for Redis where its message came back, and in Finish it is set fulfilled.
var (
	claim  = &Stage{"claim", trace.SpanKindClient, []attribute.KeyValue{redis, semconv.MessagingOperationTypeReceive}}
	Row    = &Stage{"row", trace.SpanKindClient, postgres}
	Start  = &Stage{"start", trace.SpanKindInternal, nil}
	Work   = &Stage{"work", trace.SpanKindInternal, nil}
	Finish = &Stage{"finish", trace.SpanKindClient, postgres}
	settle = &Stage{"settle", trace.SpanKindClient, []attribute.KeyValue{redis, semconv.MessagingOperationTypeSettle}}
)

// Order is the trace of an order's delivery. A nil Order is none.
type Order struct {
	tracer *Tracer
	ctx    context.Context // of span
	span   trace.Span
	stage  *Stage
	child  trace.Span // of the stage; span itself where nothing is recorded
}

// Follow begins the trace of a delivery, from the claim of its message on. What the queue
// tells of its fate ends it.
func (t *Tracer) Follow(d *queue.Delivery, m order.Message) *Order {
	if t == nil {
		return nil
	}
	from := d.Origin()
	parent := propagation.TraceContext{}.Extract(context.Background(),
		propagation.MapCarrier{"traceparent": m.Traceparent, "tracestate": m.Tracestate})
	about := []attribute.KeyValue{
		redis, semconv.MessagingDestinationName(from.Queue), semconv.MessagingMessageID(from.Digest),
		semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		attribute.String("instance", from.Instance), attribute.String("correlation_id", m.CorrelationID),
	}
	if m.OrderID != 0 { // it could be read
		about = append(about, attribute.Int64("order.id", m.OrderID))
	}
	ctx, span := t.spans.Start(parent, "process "+from.Queue,
		trace.WithTimestamp(from.Claimed), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(about...))
	o := &Order{tracer: t, ctx: ctx, span: span}
	o.begin(claim, from.Claimed)
	d.Follow(span.SpanContext().TraceID().String(), span.SpanContext().SpanID().String(), o.settled)
	return o
}

// Context returns a context whose log lines carry the ids of the trace.
func (o *Order) Context(ctx context.Context) context.Context {
	if o == nil {
		return ctx
	}
	s := o.span.SpanContext()
	return logger.WithTrace(ctx, s.TraceID().String(), s.SpanID().String())
}

// Enter ends one stage and begins another, unless the order is in it already.
func (o *Order) Enter(next *Stage) {
	if o != nil && o.stage != next {
		o.enter(next, time.Now())
	}
}

func (o *Order) enter(next *Stage, at time.Time) {
	o.child.End(trace.WithTimestamp(at))
	o.begin(next, at)
}

func (o *Order) begin(s *Stage, at time.Time) {
	o.stage = s
	if o.child = o.span; !o.span.IsRecording() {
		return // it was sampled out
	}
	_, o.child = o.tracer.spans.Start(o.ctx, s.name, trace.WithTimestamp(at), trace.WithSpanKind(s.kind), trace.WithAttributes(s.about...))
}

// TakenOver notes that the order was in a former holder's hand.
func (o *Order) TakenOver() {
	if o != nil {
		o.child.SetAttributes(attribute.Bool("order.taken_over", true))
	}
}

// Number notes how often the message was delivered by now.
func (o *Order) Number(n int) {
	if o != nil {
		o.span.SetAttributes(attribute.Int("delivery", n))
	}
}

// Pass returns the message as a part of the stage that the order is in, for whoever goes on
// with the trace elsewhere.
func (o *Order) Pass(m order.Message) order.Message {
	if o == nil {
		return m
	}
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(o.ctx, o.child), headers)
	m.Traceparent, m.Tracestate = headers["traceparent"], headers["tracestate"]
	return m
}

// settled ends the trace with what became of the message. What the handler said is the
// failure of the stage in which it returned, if it counts as one.
func (o *Order) settled(f queue.Fate) {
	now := time.Now()
	became := []attribute.KeyValue{attribute.String("outcome", string(f.Outcome))}
	if f.Reason != "" {
		became = append(became, attribute.String("reason", string(f.Reason)))
	}
	if f.Error != "" {
		o.child.AddEvent(semconv.ExceptionEventName, trace.WithTimestamp(f.Handled), trace.WithAttributes(semconv.ExceptionMessage(f.Error)))
	}
	if f.Outcome == queue.WasRetried || f.Outcome == queue.WasBuried {
		o.child.SetStatus(codes.Error, f.Error)
		o.span.SetStatus(codes.Error, f.Error)
	}
	o.enter(settle, f.Handled)
	o.child.SetAttributes(became...)
	o.span.SetAttributes(became...)
	o.child.End(trace.WithTimestamp(now))
	o.span.End(trace.WithTimestamp(now))
}
