package traces

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// one is a span to send.
var one = tracetest.SpanStubs{{Name: "one"}}.Snapshots()

// environment sets the variables of traces.
func environment(t *testing.T, settings map[string]string) {
	t.Helper()
	for _, what := range []string{"ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		t.Setenv(forAll+what, settings[what])
		t.Setenv(forTraces+what, settings["TRACES_"+what])
	}
}

// send sends one span to where the environment says.
func send(t *testing.T, settings map[string]string) error {
	t.Helper()
	environment(t, settings)
	c, err := asked("shop/1")
	if err != nil {
		t.Fatal(err)
	}
	return c.ExportSpans(t.Context(), one)
}

func TestCollector_isAskedAsTheEnvironmentSays(t *testing.T) {
	var got *http.Request
	var body []byte
	answer := func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}
	plain := httptest.NewServer(http.HandlerFunc(answer))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.StartTLS()
	defer secure.Close()
	certificate, key := files(t, secure.TLS.Certificates[0])

	type settings = map[string]string
	tests := []struct {
		name     string
		settings settings
		uri      string
		header   settings
	}{
		{"below the URL for all", settings{"ENDPOINT": plain.URL}, "/v1/traces", settings{
			"Content-Type": "application/x-protobuf", "User-Agent": "shop/1", "Content-Encoding": "", "Authorization": "",
		}},
		{"below its path", settings{"ENDPOINT": plain.URL + "/otlp/?a=b"}, "/otlp/v1/traces?a=b", nil},
		{"at the URL for traces", settings{"ENDPOINT": "http://no.example", "TRACES_ENDPOINT": plain.URL + "/x/?a=b"}, "/x/?a=b", nil},
		{"at its root", settings{"TRACES_ENDPOINT": plain.URL}, "/", nil},
		{"with headers", settings{"ENDPOINT": plain.URL, "HEADERS": "authorization=Bearer%20a%2Cb+c=, X-Shop = 1 ,"}, "/v1/traces", settings{
			"Authorization": "Bearer a,b+c=", "X-Shop": "1",
		}},
		{"with those of traces alone", settings{"ENDPOINT": plain.URL, "HEADERS": "a=1", "TRACES_HEADERS": "b=2"}, "/v1/traces", settings{"A": "", "B": "2"}},
		{"packed", settings{"ENDPOINT": plain.URL, "COMPRESSION": "gzip"}, "/v1/traces", settings{"Content-Encoding": "gzip"}},
		{"as it is", settings{"ENDPOINT": plain.URL, "COMPRESSION": "gzip", "TRACES_COMPRESSION": "none"}, "/v1/traces", settings{"Content-Encoding": ""}},
		{"by TLS", settings{"ENDPOINT": secure.URL, "CERTIFICATE": certificate, "CLIENT_CERTIFICATE": certificate, "CLIENT_KEY": key}, "/v1/traces", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := send(t, tt.settings); err != nil {
				t.Fatal(err)
			}
			if got.Method != http.MethodPost || got.RequestURI != tt.uri {
				t.Errorf("the collector gets %s %s, want POST %s", got.Method, got.RequestURI, tt.uri)
			}
			for name, want := range tt.header {
				if value := got.Header.Get(name); value != want {
					t.Errorf("%s is %q, want %q", name, value, want)
				}
			}
			if spans := unpack(t, got, body); len(spans) != 1 || spans[0].Name != "one" {
				t.Errorf("the collector gets the spans %v", spans)
			}
		})
	}
	t.Run("by nobody without its certificate", func(t *testing.T) {
		if err := send(t, settings{"ENDPOINT": secure.URL}); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("a collector with an unknown certificate: %v", err)
		}
	})
}

// unpack reads the spans of a request.
func unpack(t *testing.T, r *http.Request, body []byte) []*tracepb.Span {
	t.Helper()
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		t.Fatal(err)
	}
	return data.ResourceSpans[0].ScopeSpans[0].Spans
}

// files has the certificate and its key in files.
func files(t *testing.T, c tls.Certificate) (certificate, key string) {
	t.Helper()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return write("certificate", "CERTIFICATE", c.Certificate[0]), write("key", "PRIVATE KEY", der)
}

func TestAsked_refusesWhatItCannotRead(t *testing.T) {
	for setting, values := range map[string][]string{
		"ENDPOINT":    {"canary", "canary:4318", "ftp://canary", "http://", "http://canary%", "http://canary:canary@shop.example"},
		"HEADERS":     {"canary", "=canary", "a b=canary", "a=canary%", "a=canary%0Ab", "a=1,canary"},
		"TIMEOUT":     {"canary", "10s", "-1", "0", "1.5", "99999999999"},
		"COMPRESSION": {"canary", "GZIP"},
		"CERTIFICATE": {"canary", "/dev/null", "export_test.go"},
		"CLIENT_KEY":  {"canary"},
		"PROTOCOL":    {"canary", "grpc"},
	} {
		for _, value := range values {
			for _, name := range []string{setting, "TRACES_" + setting} {
				t.Run(name+"="+value, func(t *testing.T) {
					settings := map[string]string{"ENDPOINT": "http://127.0.0.1:1"}
					settings[name] = value
					environment(t, settings)
					_, err := asked("shop/1")
					if err == nil || !strings.Contains(err.Error(), forAll+name+":") || strings.Contains(err.Error(), "canary") {
						t.Errorf("the error is %v", err)
					}
				})
			}
		}
	}
}

// answer is one of a collector, after a while.
type answer struct {
	after      time.Duration
	code       int
	retryAfter string
	body       string
}

// answers are those of a collector, the last one for ever.
type answers struct {
	all   []answer
	asked int
}

// RoundTrip answers the next request.
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	next := a.all[min(a.asked, len(a.all)-1)]
	a.asked++
	select {
	case <-time.After(next.after):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	header := http.Header{"Retry-After": {next.retryAfter}, "Location": {"http://canary.example"}}
	return &http.Response{StatusCode: next.code, Status: "canary", Header: header, Body: io.NopCloser(strings.NewReader(next.body))}, nil
}

func TestCollector_isAskedAgain(t *testing.T) {
	busy := func(code int) []answer { return []answer{{code: code}, {code: 200}} }
	tests := []struct {
		name        string
		answers     []answer
		says        string
		asked       int
		least, most time.Duration // that it takes
	}{
		{"not once it took the spans", []answer{{code: 200, body: "\x0a\x06\x12\x04what"}}, "", 1, 0, 0},
		{"in time when there is too much", busy(429), "", 2, 250 * time.Millisecond, 750 * time.Millisecond},
		{"in time when a gateway is bad", busy(502), "", 2, 250 * time.Millisecond, 750 * time.Millisecond},
		{"in time when it is not ready", busy(503), "", 2, 250 * time.Millisecond, 750 * time.Millisecond},
		{"in time when a gateway waits in vain", busy(504), "", 2, 250 * time.Millisecond, 750 * time.Millisecond},
		{"not when it refuses", []answer{{code: 400, body: "canary"}}, "answered 400 Bad Request", 1, 0, 0},
		{"not when it fails", []answer{{code: 500, body: "canary"}}, "answered 500 Internal Server Error", 1, 0, 0},
		{"not elsewhere", []answer{{code: 307}}, "answered 307 Temporary Redirect", 1, 0, 0},
		{"not for what it rejects", []answer{{code: 200, body: "\x0a\x08\x12\x03why\x08\xac\x02"}}, "rejected 300 spans", 1, 0, 0},
		{"when it says, in seconds", []answer{{code: 503, retryAfter: "4"}, {code: 200}}, "", 2, 4 * time.Second, 4 * time.Second},
		{"when it says, a date", []answer{{code: 503, retryAfter: "Sat, 01 Jan 2000 00:00:04 GMT"}, {code: 200}}, "", 2, 4 * time.Second, 4 * time.Second},
		{"not when it says too late", []answer{{code: 429, retryAfter: "11"}}, "answered 429 Too Many Requests", 1, 0, 0},
		{"not when it says for ever", []answer{{code: 429, retryAfter: "99999999999999999999"}}, "answered 429 Too Many Requests", 1, 0, 0},
		{"until the time is over", []answer{{code: 503}}, "answered 503 Service Unavailable", 0, 0, 10 * time.Second},
		{"until it is silent", []answer{{code: 503}, {after: time.Hour}}, "deadline exceeded", 2, 10 * time.Second, 10 * time.Second},
	}
	environment(t, map[string]string{"ENDPOINT": "http://canary.example/canary", "HEADERS": "authorization=canary"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := asked("shop/1")
				if err != nil {
					t.Fatal(err)
				}
				a := &answers{all: tt.answers}
				c.transport.RegisterProtocol("http", a)
				began := time.Now()
				err = c.ExportSpans(t.Context(), one)
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("it takes %v, want %v to %v", took, tt.least, tt.most)
				}
				if tt.asked == 0 && a.asked < 5 || tt.asked > 0 && a.asked != tt.asked {
					t.Errorf("it is asked %d times, want %d", a.asked, tt.asked)
				}
				switch {
				case tt.says == "" && err != nil, tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
					t.Errorf("the error is %v, want %q", err, tt.says)
				case err != nil && strings.Contains(err.Error(), "canary"):
					t.Errorf("the error holds a secret: %v", err)
				}
			})
		})
	}
}

func TestCollector_stopsWhenNobodyWaits(t *testing.T) {
	environment(t, map[string]string{"ENDPOINT": "http://shop.example"})
	synctest.Test(t, func(t *testing.T) {
		c, err := asked("shop/1")
		if err != nil {
			t.Fatal(err)
		}
		c.transport.RegisterProtocol("http", &answers{all: []answer{{code: 503, retryAfter: "5"}}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if err := c.ExportSpans(ctx, one); err == nil || time.Since(began) != time.Second {
			t.Errorf("after %v the error is %v", time.Since(began), err)
		}
	})
}

func TestRejected_readsOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]uint64{
		"":                          0,
		"\x0a\x02\x08\x03":          3,
		"\x12\x01a\x0a\x02\x08\x03": 3, // after a field that nobody knows
		"\x0a\x02\x08":              0, // cut off
		"\x0a\xff\xff\xff\xff\x0f":  0, // longer than it is
		"\x08\x02\x08\x03":          0, // a number in its place
		"\xff":                      0,
		"<html>no</html>":           0,
		`{"partialSuccess":{}}`:     0,
	} {
		if got := rejected([]byte(answer)); got != want {
			t.Errorf("of %q %d spans are rejected, want %d", answer, got, want)
		}
	}
}
