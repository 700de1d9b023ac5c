package fulfil

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/order"
)

var message = order.Message{OrderID: 17, ProductID: 3, Quantity: 2, CorrelationID: "0b6c"}

// serveHTTP starts a server and returns its URL.
func serveHTTP(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// post is work at that URL, over connections of the test's own: httptest closes those
// that are shared when any server ends.
func post(t *testing.T, url string) Post {
	t.Helper()
	p := NewPost(url)
	transport := &http.Transport{}
	p.transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	return p
}

// answers is a server's handler that always answers the same.
func answers(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

func TestPost_sends(t *testing.T) {
	t.Parallel()
	type request struct {
		method, path, user, password string
		header                       http.Header
		body                         string
	}
	got := make(chan request, 1)
	url := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		got <- request{r.Method, r.URL.String(), user, password, r.Header, string(body)}
	})
	target := strings.Replace(url, "http://", "http://shop:secret@", 1) + "/fulfil?region=eu"
	if err := post(t, target).Do(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.method != http.MethodPost || r.path != "/fulfil?region=eu" || r.user != "shop" || r.password != "secret" {
		t.Errorf("the request is %s %s by %s:%s", r.method, r.path, r.user, r.password)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": "order-17", "X-Correlation-Id": "0b6c",
	} {
		if got := r.header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var body struct {
		OrderID       int64  `json:"order_id"`
		ProductID     int64  `json:"product_id"`
		Quantity      int64  `json:"quantity"`
		CorrelationID string `json:"correlation_id"`
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.OrderID != 17 || body.ProductID != 3 || body.Quantity != 2 || body.CorrelationID != "0b6c" {
		t.Errorf("the body is %s, %v", r.body, err)
	}
}

func TestPost_cleansTheCorrelationID(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, id, want string }{
		{"none", "", ""},
		{"one that begins a header of its own", "a\r\nX-Evil: 1", "aX-Evil: 1"},
		{"control characters", "a\x00\t\x7fb\x1b", "ab"},
		{"letters that no header may hold", "häuser-ü-\u2028", "huser--"},
		{"no UTF-8", "a\xffb", "ab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan http.Header, 1)
			url := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
			m := message
			m.CorrelationID = tt.id
			if err := post(t, url).Do(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			h := <-got
			if id := h.Get("X-Correlation-ID"); id != tt.want || h.Get("X-Evil") != "" {
				t.Errorf("X-Correlation-ID is %q, X-Evil %q, want %q and none", id, h.Get("X-Evil"), tt.want)
			}
		})
	}
}

func TestPost_passesTheTraceOn(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, want := range [][2]string{{}, {parent, ""}, {parent, "shop=1"}} {
		got := make(chan http.Header, 1)
		url := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
		m := message
		m.Traceparent, m.Tracestate = want[0], want[1]
		if err := post(t, url).Do(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		h := <-got
		for i, name := range []string{"Traceparent", "Tracestate"} {
			if values := h.Values(name); strings.Join(values, "|") != want[i] || (want[i] == "") != (len(values) == 0) {
				t.Errorf("%s is %q, want %q", name, values, want[i])
			}
		}
	}
}

func TestPost_judgesTheAnswer(t *testing.T) {
	t.Parallel()
	const done, refused, later = "done", "refused", "later"
	for verdict, codes := range map[string][]int{
		done:    {200, 201, 202, 204, 206, 299},
		refused: {300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 431, 451, 499},
		later:   {408, 425, 429, 500, 501, 502, 503, 504, 507, 511, 599},
	} {
		for _, code := range codes {
			t.Run(fmt.Sprintf("%d is %s", code, verdict), func(t *testing.T) {
				t.Parallel()
				err := post(t, serveHTTP(t, answers(code, "Retry-After", "7"))).Do(t.Context(), message)
				got := done
				var tryLater *order.TryLaterError
				switch {
				case errors.As(err, &tryLater):
					got = later
					if tryLater.After != 7*time.Second {
						t.Errorf("Retry-After: 7 is read as %v", tryLater.After)
					}
				case errors.Is(err, order.ErrRejected):
					got = refused
				case err != nil:
					got = "a failure"
				}
				if got != verdict {
					t.Errorf("%d is %s: %v", code, got, err)
				}
				if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("FULFILLMENT_URL answered %d", code)) {
					t.Errorf("the error is %q, want it to name the status", err)
				}
			})
		}
	}
}

func TestPost_followsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"/elsewhere", "http://127.0.0.1:1/", "", "http://%zz", ":"} {
		t.Run(fmt.Sprintf("to %q", location), func(t *testing.T) {
			t.Parallel()
			url := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					t.Errorf("the redirect was followed: %s %s", r.Method, r.URL)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
			if err := post(t, url+"/").Do(t.Context(), message); !errors.Is(err, order.ErrRejected) {
				t.Errorf("Do: %v, want the order refused", err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	sent := time.Date(2016, 1, 31, 12, 0, 0, 0, time.UTC) // by a clock that is years behind
	date := func(d time.Duration) string { return sent.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"none", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"no second", "0", 0},
		{"a day", "86400", day},
		{"more than a day", "86401", day},
		{"as many seconds as fit into 32 bits", "4294967295", day},
		{"one more", "4294967296", day},
		{"more than fit into 64 bits", "99999999999999999999", day},
		{"a negative number", "-5", 0},
		{"a fraction", "1.5", 0},
		{"a word", "soon", 0},
		{"a date", date(90 * time.Second), 90 * time.Second},
		{"a date that is over", date(-time.Hour), 0},
		{"a date that is far away", date(48 * time.Hour), day},
		{"the last date there is", "Fri, 31 Dec 9999 23:59:59 GMT", day},
		{"a date of another form", "2026-01-31T12:00:00Z", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Retry-After": {tt.value}, "Date": {date(0)}}
			if got := retryAfter(h); got != tt.want {
				t.Errorf("retryAfter of %q = %v, want %v", tt.value, got, tt.want)
			}
		})
	}
	if got := retryAfter(http.Header{"Retry-After": {date(time.Minute)}}); got != 0 {
		t.Errorf("a date of nobody knows whose clock: %v, want 0", got)
	}
}

func TestPost_endsWithItsContext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(w http.ResponseWriter)
	}{
		{"while it waits for the answer", func(http.ResponseWriter) {}},
		{"while it reads the answer", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadGateway)
			_ = http.NewResponseController(w).Flush()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			url := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // or the server does not see that the client goes
				tt.answer(w)
				cancel()
				<-r.Context().Done()
			})
			result := make(chan error, 1)
			go func() { result <- post(t, url).Do(ctx, message) }()
			select {
			case err := <-result:
				if err == nil || errors.Is(err, order.ErrRejected) {
					t.Errorf("Do: %v, want a failure that may pass", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("after 10s: still no answer")
			}
		})
	}
}

func TestPost_showsNoCredentials(t *testing.T) {
	t.Parallel()
	const canary = "S3cretCanary"
	secret := func(url string) string {
		return strings.Replace(url, "http://", "http://u:"+canary+"@", 1) + "/?key=" + canary
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	babble := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "hello\r\n\r\n")
			_ = conn.Close()
		}
	}
	tests := []struct {
		name string
		url  func(t *testing.T) string
		ctx  func(context.Context) context.Context
	}{
		{"nobody listens", func(*testing.T) string { return closed.URL }, nil},
		{"the server hangs up", func(t *testing.T) string { return serveHTTP(t, hangUp) }, nil},
		{"the server speaks no HTTP", func(t *testing.T) string { return serveHTTP(t, babble) }, nil},
		{"the server refuses", func(t *testing.T) string { return serveHTTP(t, answers(404)) }, nil},
		{"the server fails", func(t *testing.T) string { return serveHTTP(t, answers(500)) }, nil},
		{"a redirect", func(t *testing.T) string { return serveHTTP(t, answers(302, "Location", "/x")) }, nil},
		{"a redirect to nowhere", func(t *testing.T) string { return serveHTTP(t, answers(302, "Location", "http://%zz")) }, nil},
		{"a URL that is none", func(*testing.T) string { return "http://a b%zz" }, nil},
		{"a scheme that nobody knows", func(*testing.T) string { return "ftp" + "://u:" + canary + "@h" }, nil},
		{"a host that does not exist", func(*testing.T) string { return "http://h.invalid" }, nil},
		{"the context is done", func(t *testing.T) string { return serveHTTP(t, answers(200)) }, func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if tt.ctx != nil {
				ctx = tt.ctx(ctx)
			}
			err := post(t, secret(tt.url(t))).Do(ctx, message)
			if err == nil {
				t.Fatal("Do succeeded")
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
					if text := fmt.Sprintf(verb, e); strings.Contains(text, canary) {
						t.Errorf("%s of the error shows it: %s", verb, text)
					}
				}
			}
		})
	}
}

// A server that breaks off is a failure that may pass, not a refusal.
func TestPost_mayPass(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	err = post(t, "http://"+l.Addr().String()).Do(t.Context(), message)
	var later *order.TryLaterError
	if err == nil || errors.Is(err, order.ErrRejected) || errors.As(err, &later) {
		t.Errorf("Do: %v, want a plain failure", err)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "FULFILLMENT_URL does not answer: ") {
		t.Errorf("the error is %q, want it to name FULFILLMENT_URL", err)
	}
}
