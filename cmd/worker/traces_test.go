package main_test

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes traces as an OpenTelemetry collector does, over HTTP.
type collector struct {
	*testing.T
	url string

	mu       sync.Mutex
	header   http.Header // of the last request
	service  map[string]string
	spans    []*span
	requests int
	busy     int // so many more requests are told to come again
}

// span is one that was exported.
type span struct {
	*tracepb.Span
	attributes map[string]string
}

func (s *span) id() string     { return hex.EncodeToString(s.SpanId) }
func (s *span) parent() string { return hex.EncodeToString(s.ParentSpanId) }
func (s *span) trace() string  { return hex.EncodeToString(s.TraceId) }

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{T: t}
	c.url = serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if c.isBusy() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body := r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(body)
		}
		raw, _ := io.ReadAll(body)
		var request tracepb.TracesData
		if err := proto.Unmarshal(raw, &request); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s of %s to %s: %v", r.Method, r.Header.Get("Content-Type"), r.URL.Path, err)
		}
		c.keep(r.Header, &request)
	})
	return c
}

func (c *collector) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	return c.busy >= 0
}

// serveHTTP returns the URL of a server; it is not httptest's, which closes others' connections.
func serveHTTP(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String()
}

func (c *collector) keep(header http.Header, request *tracepb.TracesData) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.header = header
	for _, resource := range request.ResourceSpans {
		c.service = attributes(resource.Resource.Attributes)
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, &span{s, attributes(s.Attributes)})
			}
		}
	}
}

func attributes(all []*commonpb.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, a := range all {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			texts[a.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			texts[a.Key] = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_BoolValue:
			texts[a.Key] = fmt.Sprint(v.BoolValue)
		}
	}
	return texts
}

// settings ask a worker for traces, each at once.
func (c *collector) settings(more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url, "OTEL_BSP_SCHEDULE_DELAY=20"}, more...)
}

func (c *collector) all() []*span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// awaitOrders waits for so many spans of orders that are in such a case, oldest first.
func (c *collector) awaitOrders(n int, when func(*span) bool) (orders []*span) {
	c.Helper()
	testenv.Eventually(c.T, 20*time.Second, fmt.Sprintf("%d orders are traced", n), func() bool {
		orders = nil
		for _, s := range c.all() {
			if s.Kind == tracepb.Span_SPAN_KIND_CONSUMER && when(s) {
				orders = append(orders, s)
			}
		}
		return len(orders) >= n
	})
	if len(orders) > n {
		c.Errorf("%d orders are traced, want %d", len(orders), n)
	}
	slices.SortFunc(orders, func(a, b *span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	return orders
}

func (c *collector) awaitOrder(id int64) *span {
	c.Helper()
	return c.awaitOrders(1, func(s *span) bool { return s.attributes["order.id"] == fmt.Sprint(id) })[0]
}

// stages are the children of an order's span, in their order.
func (c *collector) stages(of *span) (stages []*span) {
	for _, s := range c.all() {
		if s.parent() == of.id() {
			stages = append(stages, s)
		}
	}
	slices.SortFunc(stages, func(a, b *span) int {
		if a.StartTimeUnixNano == b.StartTimeUnixNano {
			return int(a.EndTimeUnixNano) - int(b.EndTimeUnixNano)
		}
		return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano)
	})
	return stages
}

func names(spans []*span) string {
	var all []string
	for _, s := range spans {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

const wholeLife = "claim row start work finish settle"

// Orders that came together and one that came alone: each is one span, which its stages
// fill from one end to the other, and its log lines name it.
func TestWorker_tracesOrders(t *testing.T) {
	s := newSite(t)
	c := newCollector(t)
	ids := s.order(4)
	w := s.start(c.settings("OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20canary", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")...)
	s.awaitFulfilled(10 * time.Second)
	ids = append(ids, s.order(1)...)
	for _, id := range ids {
		c.lived(s, w, c.awaitOrder(id), id)
	}
	if got := c.header.Get("Authorization"); got != "Bearer canary" {
		t.Errorf("the collector is asked with the authorization %q", got)
	}
	for key, want := range map[string]string{"service.name": "fulfillment-worker", "service.version": "dev", "deployment.environment.name": "test"} {
		if got := c.service[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	s.settled(w)
}

// lived fails unless the span is that of an order that was fulfilled at once.
func (c *collector) lived(s *site, w *worker, o *span, id int64) {
	c.Helper()
	for key, want := range map[string]string{
		"messaging.system": "redis", "messaging.destination.name": s.queueName, "messaging.operation.type": "process",
		"messaging.message.id": queue.Digest([]byte(payload(id))), "order.id": fmt.Sprint(id), "correlation_id": fmt.Sprintf("c-%d", id),
		"instance": w.log("Fulfillment Worker started")[0].Instance, "delivery": "1", "outcome": "acked", "reason": "",
	} {
		if got := o.attributes[key]; got != want {
			c.Errorf("%s of order %d is %q, want %q", key, id, got, want)
		}
	}
	if o.Name != "process "+s.queueName || len(o.ParentSpanId) > 0 || o.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		c.Errorf("the span of order %d is %v", id, o)
	}
	stages := c.stages(o)
	if names(stages) != wholeLife {
		c.Fatalf("the stages of order %d are %q, want %q", id, names(stages), wholeLife)
	}
	end := o.StartTimeUnixNano
	for _, stage := range stages {
		if stage.trace() != o.trace() || stage.StartTimeUnixNano != end {
			c.Errorf("order %d: the stage %s is elsewhere: %v", id, stage.Name, stage)
		}
		end = stage.EndTimeUnixNano
	}
	if end != o.EndTimeUnixNano {
		c.Errorf("order %d ends %d ns after its last stage", id, o.EndTimeUnixNano-end)
	}
	if work := stages[3]; work.EndTimeUnixNano-work.StartTimeUnixNano < uint64(50*time.Millisecond) {
		c.Errorf("the work on order %d took %d ns, want what PROCESSING_MIN says", id, work.EndTimeUnixNano-work.StartTimeUnixNano)
	}
	for _, message := range []string{fmt.Sprintf("Processing order %d", id), fmt.Sprintf("Order %d fulfilled", id)} {
		if l := w.said(message); len(l) != 1 || l[0].TraceID != o.trace() || l[0].SpanID != o.id() {
			c.Errorf("%q is logged as %+v, want the trace %s and the span %s", message, l, o.trace(), o.id())
		}
	}
}

// traced is the message of an order that belongs to a trace.
func traced(id int64, parent, state string) string {
	return strings.TrimSuffix(payload(id), "}") + fmt.Sprintf(`, "traceparent": %q, "tracestate": %q}`, parent, state)
}

// A trace that came with the message goes on here, and at FULFILLMENT_URL.
func TestWorker_continuesTraces(t *testing.T) {
	const parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "shop=1"
	s := newSite(t)
	c := newCollector(t)
	var mu sync.Mutex
	headers := map[string]http.Header{}
	shop := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		headers[r.Header.Get("Idempotency-Key")] = r.Header
	})
	ids := s.insert(3)
	unsampled := strings.Replace(parent[:54], "4bf9", "5bf9", 1) + "0"
	s.push(traced(ids[0], parent, state), traced(ids[1], "00-no-trace", state), traced(ids[2], unsampled, ""))
	w := s.start(c.settings("FULFILLMENT_URL="+shop, "OTEL_BSP_SCHEDULE_DELAY=3600000")...)
	s.awaitFulfilled(10 * time.Second)
	s.settled(w) // what is not sent yet is sent when it stops
	sent := func(id int64) (parent, state string) {
		h := headers[fmt.Sprintf("order-%d", id)]
		return h.Get("Traceparent"), h.Get("Tracestate")
	}

	first := c.awaitOrder(ids[0])
	if first.trace() != parent[3:35] || first.parent() != parent[36:52] || first.TraceState != state {
		t.Errorf("the order belongs to %s of %s, %q, want %s, %q", first.parent(), first.trace(), first.TraceState, parent, state)
	}
	work := c.stages(first)[3]
	if p, st := sent(ids[0]); p != "00-"+first.trace()+"-"+work.id()+"-01" || st != state {
		t.Errorf("FULFILLMENT_URL gets the trace %q, %q, want the work's", p, st)
	}
	second := c.awaitOrder(ids[1])
	if len(second.ParentSpanId) > 0 || second.TraceState != "" {
		t.Errorf("an order without a valid trace belongs to %s, %q", second.parent(), second.TraceState)
	}
	if p, _ := sent(ids[1]); !strings.Contains(p, second.trace()) {
		t.Errorf("FULFILLMENT_URL gets the trace %q, want %s", p, second.trace())
	}
	if p, _ := sent(ids[2]); !strings.HasPrefix(p, unsampled[:36]) || !strings.HasSuffix(p, "-00") || strings.Contains(p, unsampled[36:52]) {
		t.Errorf("FULFILLMENT_URL gets the trace %q, want that of %s, and not recorded", p, unsampled)
	}
	for _, span := range c.all() {
		if span.trace() == unsampled[3:35] {
			t.Errorf("%s is exported, of a trace that nobody records", span.Name)
		}
	}
}

// However a delivery ends, its trace says so.
func TestWorker_tracesWhatBecomesOfOrders(t *testing.T) {
	s := newSite(t)
	c := newCollector(t)
	ids := s.insert(5)
	done, fails, refused, held, hangs := ids[0], ids[1], ids[2], ids[3], ids[4]
	shop := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Idempotency-Key") {
		case fmt.Sprintf("order-%d", fails):
			w.WriteHeader(http.StatusServiceUnavailable)
		case fmt.Sprintf("order-%d", refused):
			w.WriteHeader(http.StatusConflict)
		case fmt.Sprintf("order-%d", hangs):
			<-r.Context().Done()
		}
	})
	_, err := s.db.Exec(t.Context(), `UPDATE orders SET status = 'processing', updated_at = now() WHERE id = ANY($1)`, []int64{done, held})
	must(t, err)
	must(t, s.rdb.HSet(t.Context(), s.keys.Returned(), queue.Digest([]byte(payload(done))), "returned").Err())
	s.push("no message", payload(done), payload(fails), payload(refused), payload(held), payload(hangs))
	w := s.start(c.settings("FULFILLMENT_URL="+shop, "MAX_DELIVERIES=2", "ORDER_TIMEOUT=1h", "SHUTDOWN_TIMEOUT=100ms", "WORKER_CONCURRENCY=8")...)

	of := func(id int64) func(*span) bool {
		return func(o *span) bool { return o.attributes["order.id"] == fmt.Sprint(id) }
	}
	takenOver := c.awaitOrder(done)
	c.ended(takenOver, "acked", "", "", wholeLife)
	if row := c.stages(takenOver)[1]; row.attributes["order.taken_over"] != "true" {
		t.Errorf("the row of an order that was taken over is %v", row.attributes)
	}
	failed := c.awaitOrders(2, of(fails))
	c.ended(failed[0], "retried", "", "503 Service Unavailable", "claim row start work settle")
	c.ended(failed[1], "dead", "exhausted", "503 Service Unavailable", "claim row start work settle")
	if a, b := failed[0].attributes["delivery"], failed[1].attributes["delivery"]; a != "1" || b != "2" {
		t.Errorf("an order that failed twice has the deliveries %s and %s", a, b)
	}
	c.ended(c.awaitOrder(refused), "dead", "rejected", "409 Conflict", "claim row start work settle")
	bad := c.awaitOrders(1, func(o *span) bool { return o.attributes["reason"] == "malformed" })[0]
	c.ended(bad, "dead", "malformed", "invalid character", "claim settle")
	testenv.Eventually(t, 10*time.Second, "an order in somebody else's hand is put off", func() bool {
		return slices.ContainsFunc(c.all(), func(o *span) bool { return of(held)(o) && o.attributes["outcome"] == "put_off" })
	})
	w.signal(syscall.SIGTERM)
	if code := w.exit(10 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	c.ended(c.awaitOrder(hangs), "handed_back", "", "the worker is shutting down", "claim row start work settle")
	for _, line := range w.raw {
		if strings.Contains(line, `"order_id"`) && !strings.Contains(line, `,"trace_id":"`) {
			t.Errorf("a line names an order and no trace: %s", line)
		}
	}
}

// ended fails unless the span of an order says that it ended so, after these stages.
func (c *collector) ended(o *span, outcome, reason, says, want string) {
	c.Helper()
	stages := c.stages(o)
	if names(stages) != want {
		c.Errorf("an order that was %s has the stages %q, want %q", outcome, names(stages), want)
		return
	}
	for _, s := range []*span{o, stages[len(stages)-1]} {
		if s.attributes["outcome"] != outcome || s.attributes["reason"] != reason {
			c.Errorf("%s says %v, want the outcome %q and the reason %q", s.Name, s.attributes, outcome, reason)
		}
	}
	failed := outcome == "retried" || outcome == "dead"
	last := stages[len(stages)-2]
	for _, s := range []*span{o, last} {
		if got := s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR; got != failed || !strings.Contains(s.Status.GetMessage(), says) && failed {
			c.Errorf("the status of %s of an order that was %s is %v", s.Name, outcome, s.Status)
		}
	}
	if says != "" && (len(last.Events) != 1 || !strings.Contains(attributes(last.Events[0].Attributes)["exception.message"], says)) {
		c.Errorf("%s of an order that was %s has the events %v, want an exception %q", last.Name, outcome, last.Events, says)
	}
}

// What a busy collector did not take is sent again, and packed where that is asked for.
func TestWorker_tracesToABusyCollector(t *testing.T) {
	s := newSite(t)
	c := newCollector(t)
	c.busy = 1
	id := s.order(1)[0]
	w := s.start(c.settings("OTEL_EXPORTER_OTLP_COMPRESSION=gzip")...)
	s.awaitFulfilled(10 * time.Second)
	c.lived(s, w, c.awaitOrder(id), id)
	s.settled(w)
	if c.header.Get("Content-Encoding") != "gzip" || c.busy >= 0 {
		t.Errorf("the collector gets %v, and was busy: %t", c.header, c.busy < 0)
	}
	if lines := w.log("traces are incomplete"); len(lines) > 0 {
		t.Errorf("the log says %+v of traces that are complete", lines)
	}
}

// A collector that is away costs no order anything, nor the stop, and the log says so once,
// without the credentials that may stand in its address.
func TestWorker_needsNoCollector(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	must(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	broken := func(t *testing.T) string {
		return serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no key like canary", http.StatusUnauthorized)
		})
	}
	tests := []struct {
		name string
		url  func(*testing.T) string
		says string
	}{
		{"refuses", func(*testing.T) string { return "http://127.0.0.1:1" }, "connection refused"},
		{"is silent", func(*testing.T) string { return "http://" + silent.Addr().String() }, ""},
		{"wants other credentials", broken, "401 Unauthorized"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.order(20)
			w := s.start("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+tt.url(t)+"/canary/v1/traces?key=canary",
				"OTEL_EXPORTER_OTLP_HEADERS=authorization=canary", "OTEL_BSP_SCHEDULE_DELAY=20")
			s.awaitFulfilled(10 * time.Second)
			w.signal(syscall.SIGTERM)
			w.awaitLog(3*time.Second, "left")
			if code := w.exit(3 * time.Second); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			lines := w.log("traces are incomplete")
			if len(lines) != 1 || lines[0].Level != "warn" || !strings.Contains(lines[0].Error, tt.says) {
				t.Errorf("the log says %+v, want one warning with %q", lines, tt.says)
			}
			if text := strings.Join(w.raw, "\n"); strings.Contains(text, "canary") {
				t.Errorf("a credential shows: %s", text)
			}
			s.settled()
		})
	}
}

func TestWorker_tracesOnlyWhereAsked(t *testing.T) {
	c := newCollector(t)
	endpoint := "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url
	for name, env := range map[string][]string{
		"not at all":           {"OTEL_SERVICE_NAME=shop"},
		"to no exporter":       {endpoint, "OTEL_TRACES_EXPORTER=none"},
		"and turned off":       {endpoint, "OTEL_SDK_DISABLED=TRUE"},
		"of no order":          {endpoint, "OTEL_TRACES_SAMPLER=always_off"},
		"of orders with a 0 %": {endpoint, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.order(5)
			w := s.start(append(env, "OTEL_BSP_SCHEDULE_DELAY=1")...)
			s.awaitFulfilled(10 * time.Second)
			s.settled(w)
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.requests > 0 {
				t.Errorf("the collector got %d requests", c.requests)
			}
			if sampled := strings.Contains(strings.Join(env, " "), "SAMPLER"); sampled != (w.log("Processing order")[0].TraceID != "") {
				t.Errorf("the log says %+v", w.log("Processing order")[0])
			}
		})
	}
}

func TestWorker_refusesTracesThatItCannotMake(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	for name, env := range map[string][]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL: it takes http/protobuf":              {endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: it takes http/protobuf":       {endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"},
		"OTEL_TRACES_EXPORTER: it takes otlp or none":                      {endpoint, "OTEL_TRACES_EXPORTER=console"},
		"OTEL_EXPORTER_OTLP_ENDPOINT: it takes an http:// or https:// URL": {"OTEL_EXPORTER_OTLP_ENDPOINT=canary:4317"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: it takes no credentials":      {endpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://u:canary@127.0.0.1:1"},
		"OTEL_EXPORTER_OTLP_HEADERS: it takes key=value":                   {endpoint, "OTEL_EXPORTER_OTLP_HEADERS=canary"},
		"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: it takes milliseconds":         {endpoint, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=canary"},
		"OTEL_EXPORTER_OTLP_COMPRESSION: it takes gzip or none":            {endpoint, "OTEL_EXPORTER_OTLP_COMPRESSION=canary"},
		"OTEL_EXPORTER_OTLP_CERTIFICATE: it takes a file":                  {endpoint, "OTEL_EXPORTER_OTLP_CERTIFICATE=/canary"},
		"OTEL_RESOURCE_ATTRIBUTES: it takes key=value":                     {endpoint, "OTEL_RESOURCE_ATTRIBUTES=canary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &site{T: t}
			w := s.start(append(env, "HTTP_ADDR=off")...)
			if code := w.exit(10 * time.Second); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if lines := w.log("stopped by an error"); len(lines) != 1 || lines[0].Level != "error" || !strings.Contains(lines[0].Error, name) {
				t.Errorf("it says %+v, want one error with %q", lines, name)
			}
			if strings.Contains(strings.Join(w.raw, "\n"), "canary") {
				t.Errorf("a credential shows: %v", w.raw)
			}
		})
	}
}
