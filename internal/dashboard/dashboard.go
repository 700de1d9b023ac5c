// Package dashboard is the live page: what the queue, its workers and their orders do, in
// a browser, with the actions of an operator.
//
// # What callers may rely on
//
//   - However many pages are open, and whatever they show, Redis is sent thirty commands a
//     second at most, and an action's. Only who searches many dead letters for a reason that
//     few have makes it more: one for each five hundred letters.
//   - Whoever comes from this machine may read. Everybody else, and every action, needs the
//     token; where none is set, they are refused and told how to set it.
//   - The page loads nothing from elsewhere, and a browser runs no script in it but ours.
//   - A stream of pictures ends with its request's context.
//
// # What this package never does
//
//   - It never tells a token, nor logs one.
//   - It never makes a payload part of a document: payloads go out as JSON, and the page
//     shows them as text.
package dashboard

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/inspect"
)

// Operator changes the queue, on behalf of somebody.
type Operator interface {
	Pause(ctx context.Context) (changed bool, err error)
	Resume(ctx context.Context) (changed bool, err error)
	Requeue(ctx context.Context, ids ...string) (int, error)
	Drop(ctx context.Context, ids ...string) (int, error)
}

// Page is the live page of one worker process; any worker's shows the same queue.
type Page struct {
	Live      *inspect.Live // has to run beside it
	Inspector *inspect.Inspector
	Operator  func(who string) Operator
	Token     string // "" opens the page to this machine only, and no action to anybody

	Queue    string
	Worker   string // that serves it
	Version  string
	Settings []config.Shown
	Log      *slog.Logger
}

// Handler serves the page and all that it asks for.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	serveFiles(mux)
	mux.HandleFunc("GET /session", p.session)
	mux.HandleFunc("POST /session", p.signIn)
	mux.HandleFunc("DELETE /session", p.signOut)
	mux.Handle("GET /live", p.reading(p.stream))
	mux.Handle("GET /about", p.reading(p.about))
	p.serveLists(mux)
	p.serveActions(mux)
	return headers(http.NewCrossOriginProtection().Handler(mux))
}

// headers says what a browser may do with anything of the page.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // but for files, which say so themselves
		next.ServeHTTP(w, r)
	})
}

func (p *Page) about(w http.ResponseWriter, _ *http.Request) {
	tell(w, http.StatusOK, map[string]any{
		"queue": p.Queue, "worker": p.Worker, "version": p.Version, "settings": p.Settings,
	})
}

// tell answers in JSON.
func tell(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what) // who has gone needs no answer
}

// refuse answers with a reason that people can read.
func refuse(w http.ResponseWriter, code int, why string) {
	tell(w, code, map[string]string{"error": why})
}
