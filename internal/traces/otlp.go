package traces

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// request is what asks a collector to take the spans, an ExportTraceServiceRequest of OTLP.
// TracesData is the same on the wire, "repeated ResourceSpans resource_spans = 1" and nothing
// else, and stays it: whoever adds to it must add to the request, says its definition in
// opentelemetry/proto/trace/v1/trace.proto. The package with the request itself brings gRPC.
// All spans are of one resource and one scope, those of the one [Tracer].
func request(spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	about, scope := spans[0].Resource(), spans[0].InstrumentationScope()
	all := &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: scope.Name}}
	for _, s := range spans {
		all.Spans = append(all.Spans, spanOf(s))
	}
	return proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: keyValues(about.Attributes())},
		SchemaUrl:  about.SchemaURL(),
		ScopeSpans: []*tracepb.ScopeSpans{all},
	}}})
}

var statusCodes = map[codes.Code]tracepb.Status_StatusCode{
	codes.Ok:    tracepb.Status_STATUS_CODE_OK,
	codes.Error: tracepb.Status_STATUS_CODE_ERROR,
}

// spanOf leaves out links: [Order] makes none.
func spanOf(s sdktrace.ReadOnlySpan) *tracepb.Span {
	self, status := s.SpanContext(), s.Status()
	trace, id := self.TraceID(), self.SpanID()
	span := &tracepb.Span{
		TraceId:                trace[:],
		SpanId:                 id[:],
		TraceState:             self.TraceState().String(),
		Flags:                  uint32(self.TraceFlags()) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK),
		Name:                   valid(s.Name()),
		Kind:                   tracepb.Span_SpanKind(s.SpanKind()), // the numbers are the same
		StartTimeUnixNano:      nanoseconds(s.StartTime()),
		EndTimeUnixNano:        nanoseconds(s.EndTime()),
		Attributes:             keyValues(s.Attributes()),
		DroppedAttributesCount: uint32(s.DroppedAttributes()),
		DroppedEventsCount:     uint32(s.DroppedEvents()),
		Status:                 &tracepb.Status{Code: statusCodes[status.Code], Message: valid(status.Description)},
	}
	if parent := s.Parent().SpanID(); parent.IsValid() {
		span.ParentSpanId = parent[:]
	}
	if s.Parent().IsRemote() {
		span.Flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	for _, e := range s.Events() {
		span.Events = append(span.Events, &tracepb.Span_Event{
			Name: valid(e.Name), TimeUnixNano: nanoseconds(e.Time),
			Attributes: keyValues(e.Attributes), DroppedAttributesCount: uint32(e.DroppedAttributeCount),
		})
	}
	return span
}

func nanoseconds(t time.Time) uint64 { return uint64(t.UnixNano()) }

func keyValues(attributes []attribute.KeyValue) []*commonpb.KeyValue {
	all := make([]*commonpb.KeyValue, 0, len(attributes))
	for _, a := range attributes {
		all = append(all, &commonpb.KeyValue{Key: valid(string(a.Key)), Value: valueOf(a.Value)})
	}
	return all
}

// valueOf knows the types that are used here; any other is told as text.
func valueOf(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.BOOL:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v.AsBool()}}
	case attribute.INT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.AsInt64()}}
	default:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: valid(v.String())}}
	}
}

// valid is the text as UTF-8: a stray byte in what a server said would spoil the whole request.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// rejected is how many spans a collector says that it did not take. Its answer, an
// ExportTraceServiceResponse, has the field partial_success = 1, and that rejected_spans = 1.
func rejected(answer []byte) uint64 {
	partial, _ := protowire.ConsumeBytes(first(answer, protowire.BytesType))
	n, _ := protowire.ConsumeVarint(first(partial, protowire.VarintType))
	return n
}

// first is field 1 of a message, if it has one of that type, and what follows.
func first(message []byte, kind protowire.Type) []byte {
	for len(message) > 0 {
		number, found, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil
		}
		if number == 1 && found == kind {
			return message[tag:]
		}
		size := protowire.ConsumeFieldValue(number, found, message[tag:])
		if size < 0 {
			return nil
		}
		message = message[tag+size:]
	}
	return nil
}
