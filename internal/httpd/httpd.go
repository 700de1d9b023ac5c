// Package httpd serves what orchestrators ask: whether the worker lives and whether
// it is ready; and its metrics.
//
// # What callers may rely on
//
//   - Each answer is that of its checks at the moment of the question: 200
//     with "ok", and perhaps a line for each thing that is unwise, or 503 with a line
//     for each that is wrong.
//   - A check that does not answer within a second has failed.
//
// # What this package never does
//
//   - It changes nothing.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	checkTimeout    = time.Second
	shutdownTimeout = 500 * time.Millisecond
)

// A Check returns nil if what it looks at is well.
type Check func(context.Context) error

// Server answers GET /healthz, GET /readyz and GET /metrics.
type Server struct {
	Alive  map[string]Check // for /healthz: what only a restart can cure
	Ready  map[string]Check // for /readyz: what the worker needs from others
	Unwise map[string]Check // for /readyz, too, but no reason not to be ready
	Page   http.Handler     // for every other path; nil is none
	Log    *slog.Logger     // gets what net/http has to say

	Metrics http.Handler // nil: there are none
}

// Listen opens the address, so that a wrong one is known before anything else starts.
func Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// Serve answers on the listener until ctx is done, and returns nil then.
func (s Server) Serve(ctx context.Context, l net.Listener) error {
	return serve(ctx, l, s.handler(), s.Log)
}

func serve(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // a page's stream ends with it
	}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		_ = server.Shutdown(bounded)
	})()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

func (s Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", answer(s.Alive, nil))
	mux.Handle("GET /readyz", answer(s.Ready, s.Unwise))
	if s.Page != nil {
		mux.Handle("/", s.Page)
	}
	if s.Metrics != nil {
		mux.Handle("GET /metrics", s.Metrics)
	}
	return mux
}

func answer(checks, unwise map[string]Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if wrong := run(r.Context(), checks); len(wrong) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, strings.Join(wrong, "\n"))
			return
		}
		fmt.Fprintln(w, strings.Join(append([]string{"ok"}, run(r.Context(), unwise)...), "\n"))
	})
}

// Passed says of each check, by names such as "ready/redis", whether it is passed now.
func (s Server) Passed(ctx context.Context) map[string]bool {
	all := map[string]Check{}
	for kind, checks := range map[string]map[string]Check{"alive": s.Alive, "ready": s.Ready, "wise": s.Unwise} {
		for name, check := range checks {
			all[kind+"/"+name] = check
		}
	}
	passed := map[string]bool{}
	for name, err := range results(ctx, all) {
		passed[name] = err == nil
	}
	return passed
}

// run runs the checks and says what is wrong, in the order of the names.
func run(ctx context.Context, checks map[string]Check) []string {
	var wrong []string
	for name, err := range results(ctx, checks) {
		if err != nil {
			wrong = append(wrong, name+": "+strings.Join(strings.Fields(err.Error()), " "))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// results are those of the checks, which run side by side. A check that is deaf to its
// context is left behind.
func results(ctx context.Context, checks map[string]Check) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	awaited := map[string]chan error{}
	for name, check := range checks {
		result := make(chan error, 1)
		awaited[name] = result
		go func() { result <- check(ctx) }()
	}
	all := map[string]error{}
	for name, result := range awaited {
		select {
		case all[name] = <-result:
		case <-ctx.Done():
			select { // it may have come while another was waited for
			case all[name] = <-result:
			default:
				all[name] = errors.New("no answer in time")
			}
		}
	}
	return all
}
