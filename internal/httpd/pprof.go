package httpd

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
)

// ServePprof answers with profiles of this process below /debug/pprof/, as go tool pprof
// asks for them, until ctx is done, and returns nil then.
func ServePprof(ctx context.Context, l net.Listener, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return serve(ctx, l, mux, log)
}
