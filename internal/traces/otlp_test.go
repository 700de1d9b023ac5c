package traces

import (
	"bytes"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func textPair(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func TestRequest_holdsAllOfASpan(t *testing.T) {
	t.Parallel()
	state, err := trace.ParseTraceState("shop=1")
	if err != nil {
		t.Fatal(err)
	}
	self := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state}
	parent := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{3}, Remote: true}
	at := time.Unix(1, 2)
	spans := tracetest.SpanStubs{{
		Name: "process\xff", SpanContext: trace.NewSpanContext(self), Parent: trace.NewSpanContext(parent),
		SpanKind: trace.SpanKindConsumer, StartTime: at, EndTime: at.Add(1),
		Attributes: []attribute.KeyValue{
			attribute.String("text", "a\xffb"), attribute.Int("number", -1), attribute.Bool("yes", true), attribute.Float64("other", 0.5),
		},
		Events: []sdktrace.Event{{Name: "exception", Time: at, Attributes: []attribute.KeyValue{attribute.String("a", "b")}, DroppedAttributeCount: 7}},
		Status: sdktrace.Status{Code: codes.Error, Description: "503 \xff"}, DroppedAttributes: 8, DroppedEvents: 9,
		Resource:             resource.NewWithAttributes("schema", attribute.String("service.name", "shop")),
		InstrumentationScope: instrumentation.Scope{Name: "traces"},
	}}
	want := &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{textPair("service.name", "shop")}}, SchemaUrl: "schema",
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "traces"}, Spans: []*tracepb.Span{{
			TraceId: append([]byte{1}, make([]byte, 15)...), SpanId: []byte{2, 0, 0, 0, 0, 0, 0, 0}, ParentSpanId: []byte{3, 0, 0, 0, 0, 0, 0, 0},
			TraceState: "shop=1", Flags: 0x301, Name: "process\uFFFD", Kind: tracepb.Span_SPAN_KIND_CONSUMER,
			StartTimeUnixNano: 1_000_000_002, EndTimeUnixNano: 1_000_000_003,
			Attributes: []*commonpb.KeyValue{
				textPair("text", "a\uFFFDb"),
				{Key: "number", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -1}}},
				{Key: "yes", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}},
				textPair("other", "0.5"),
			},
			Events: []*tracepb.Span_Event{{
				Name: "exception", TimeUnixNano: 1_000_000_002, Attributes: []*commonpb.KeyValue{textPair("a", "b")}, DroppedAttributesCount: 7,
			}},
			Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "503 \uFFFD"}, DroppedAttributesCount: 8, DroppedEventsCount: 9,
		}}}},
	}}}
	raw, err := request(spans.Snapshots())
	if err != nil {
		t.Fatal(err)
	}
	var got tracepb.TracesData
	if err := proto.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&got, want) {
		t.Errorf("the request is\n%v\nwant\n%v", &got, want)
	}
}

// A kind is told by its number, which OTLP shares with the SDK.
func TestRequest_tellsEachKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[trace.SpanKind]tracepb.Span_SpanKind{
		trace.SpanKindInternal: tracepb.Span_SPAN_KIND_INTERNAL,
		trace.SpanKindClient:   tracepb.Span_SPAN_KIND_CLIENT,
		trace.SpanKindConsumer: tracepb.Span_SPAN_KIND_CONSUMER,
	} {
		if got := spanOf(tracetest.SpanStub{SpanKind: kind}.Snapshot()).Kind; got != want {
			t.Errorf("the kind %v is told as %v, want %v", kind, got, want)
		}
	}
}

// The root of a trace has no parent; none is not the parent 0.
func TestRequest_tellsNoParentOfARoot(t *testing.T) {
	t.Parallel()
	if span := spanOf(tracetest.SpanStub{}.Snapshot()); span.ParentSpanId != nil || !bytes.Equal(span.SpanId, make([]byte, 8)) {
		t.Errorf("a root is told as %v", span)
	}
}
