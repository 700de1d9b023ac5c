package httpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func well(context.Context) error { return nil }

func ill(text string) Check { return func(context.Context) error { return errors.New(text) } }

// hangs answers only when it is told to give up.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// deaf answers after an hour, whatever it is told.
func deaf(context.Context) error {
	<-time.After(time.Hour)
	return nil
}

func ask(s Server, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w
}

func TestServer_answers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server Server
		path   string
		code   int
		body   string
	}{
		{"all is well", Server{Alive: map[string]Check{"a": well, "b": well}}, "/healthz", 200, "ok\n"},
		{"there is nothing to check", Server{}, "/healthz", 200, "ok\n"},
		{"one thing is wrong", Server{Alive: map[string]Check{"a": well, "b": ill("stuck")}}, "/healthz", 503, "b: stuck\n"},
		{
			"all is wrong, told in the order of the names",
			Server{Ready: map[string]Check{"c": ill("1"), "a": ill("3"), "b": ill("2"), "d": ill("0")}},
			"/readyz", 503, "a: 3\nb: 2\nc: 1\nd: 0\n",
		},
		{"an error of several lines is told in one", Server{Ready: map[string]Check{"a": ill("x\n\ty\n")}}, "/readyz", 503, "a: x y\n"},
		{"what is not ready lives", Server{Alive: map[string]Check{"a": well}, Ready: map[string]Check{"b": ill("away")}}, "/healthz", 200, "ok\n"},
		{"what does not live may be ready", Server{Alive: map[string]Check{"a": ill("stuck")}, Ready: map[string]Check{"b": well}}, "/readyz", 200, "ok\n"},
		{
			"what is unwise is told with the ok",
			Server{Unwise: map[string]Check{"b": ill("risky"), "a": well, "c": ill("slow")}},
			"/readyz", 200, "ok\nb: risky\nc: slow\n",
		},
		{"what is wrong is told alone", Server{Ready: map[string]Check{"a": ill("away")}, Unwise: map[string]Check{"b": ill("risky")}}, "/readyz", 503, "a: away\n"},
		{"a query changes nothing", Server{}, "/healthz?x=1", 200, "ok\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(tt.server, http.MethodGet, tt.path)
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("GET %s: %d %q, want %d %q", tt.path, w.Code, w.Body, tt.code, tt.body)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q, want no-store", got)
			}
			if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type is %q", got)
			}
		})
	}
}

func TestServer_refuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, path string
		want               int
	}{
		{"a POST", http.MethodPost, "/healthz", http.StatusMethodNotAllowed},
		{"a DELETE", http.MethodDelete, "/readyz", http.StatusMethodNotAllowed},
		{"a path that is not there", http.MethodGet, "/", http.StatusNotFound},
		{"a path below one that is", http.MethodGet, "/healthz/x", http.StatusNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := false
			check := map[string]Check{"a": func(context.Context) error { asked = true; return nil }}
			w := ask(Server{Alive: check, Ready: check}, tt.method, tt.path)
			if w.Code != tt.want || asked {
				t.Errorf("%s %s: %d, checks ran: %t, want %d and none", tt.method, tt.path, w.Code, asked, tt.want)
			}
		})
	}
}

func TestServer_asksAtEachQuestion(t *testing.T) {
	t.Parallel()
	away := true
	s := Server{Ready: map[string]Check{"a": func(context.Context) error {
		if away {
			return errors.New("away")
		}
		return nil
	}}}
	for _, want := range []int{503, 200, 503} {
		if w := ask(s, http.MethodGet, "/readyz"); w.Code != want {
			t.Errorf("%d, want %d", w.Code, want)
		}
		away = !away
	}
}

func TestServer_waitsASecondForItsChecks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		checks map[string]Check
		want   string // the names of those that are not well
	}{
		{"a check that hangs", map[string]Check{"a": hangs, "b": well, "c": well, "d": well}, "a"},
		{"checks that hang side by side", map[string]Check{"a": hangs, "b": hangs, "c": ill("away"), "d": well}, "a b c"},
		{"a check that is deaf to its context", map[string]Check{"a": deaf, "b": well, "c": well, "d": well}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w := ask(Server{Ready: tt.checks}, http.MethodGet, "/readyz")
				if took := time.Since(began); took != time.Second {
					t.Errorf("the answer took %v, want 1s", took)
				}
				var names []string
				for line := range strings.Lines(w.Body.String()) {
					name, _, _ := strings.Cut(line, ":")
					names = append(names, name)
				}
				if got := strings.Join(names, " "); w.Code != http.StatusServiceUnavailable || got != tt.want {
					t.Errorf("got %d %q, want 503 and a line each for %s", w.Code, w.Body, tt.want)
				}
				<-time.After(time.Hour) // until the deaf one has ended, too
			})
		})
	}
}

func TestServer_servesUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- Server{Alive: map[string]Check{"a": well}, Log: slog.New(slog.DiscardHandler)}.Serve(ctx, l)
	}()

	url := "http://" + l.Addr().String() + "/healthz"
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	resp, err := client.Get(url) // the listener queues what comes before Serve
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != "ok\n" {
		t.Errorf("GET %s: %q, %v", url, body, err)
	}

	cancel() // the client's connection idles: it must not hold Serve up
	if err := within(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if resp, err := client.Get(url); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}

func TestServer_letsNobodyHoldItUp(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan bool)
	check := func(context.Context) error {
		close(asked)
		<-t.Context().Done() // longer than the server may wait
		return nil
	}
	served := make(chan error, 1)
	go func() {
		served <- Server{Alive: map[string]Check{"a": check}, Log: slog.New(slog.DiscardHandler)}.Serve(ctx, l)
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	cancel()
	if err := within(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServer_endsAtOnceInAContextThatIsDone(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	served := make(chan error, 1)
	go func() { served <- Server{Log: slog.New(slog.DiscardHandler)}.Serve(ctx, l) }()
	if err := within(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServer_saysWhyItCannotServe(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	served := make(chan error, 1)
	go func() { served <- Server{Log: slog.New(slog.DiscardHandler)}.Serve(t.Context(), l) }()
	if err := within(t, served); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v, want %v", err, net.ErrClosed)
	}
}

func TestListen_refusesAnAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if second, err := Listen(l.Addr().String()); err == nil {
		second.Close()
		t.Error("the address was given away twice")
	}
}

func within(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("after 10s: still no answer")
		return nil
	}
}

func TestServer_showsMetrics(t *testing.T) {
	t.Parallel()
	text := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x 1\n") })
	if w := ask(Server{Metrics: text}, http.MethodGet, "/metrics"); w.Code != 200 || w.Body.String() != "x 1\n" {
		t.Errorf("GET /metrics: %d %q", w.Code, w.Body)
	}
	if w := ask(Server{}, http.MethodGet, "/metrics"); w.Code != 404 {
		t.Errorf("GET /metrics of a server that has none: %d, want 404", w.Code)
	}
}

func TestServer_Passed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := Server{
			Alive:  map[string]Check{"a": well},
			Ready:  map[string]Check{"a": ill("away"), "b": hangs},
			Unwise: map[string]Check{"a": ill("risky"), "b": well},
		}
		want := map[string]bool{"alive/a": true, "ready/a": false, "ready/b": false, "wise/a": false, "wise/b": true}
		if got := s.Passed(t.Context()); !maps.Equal(got, want) {
			t.Errorf("passed: %v, want %v", got, want)
		}
	})
}
