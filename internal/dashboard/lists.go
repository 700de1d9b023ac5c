package dashboard

import (
	"context"
	"encoding/json"
	"net/http"

	"fulfillment-worker/internal/queue"
)

const (
	listed     = 100      // messages of one list at most
	lettersOf  = 25       // dead letters of one page
	headShown  = 2 << 10  // bytes of a payload in a list
	mostShown  = 64 << 10 // bytes of a payload that is looked at
	notAnEntry = "not the id of a dead letter"
)

func (p *Page) serveLists(mux *http.ServeMux) {
	var asked lookups
	list := func(pattern string, look func(context.Context, *http.Request) (any, error)) {
		mux.Handle(pattern, p.reading(func(w http.ResponseWriter, r *http.Request) {
			for _, id := range []string{r.FormValue("after"), r.PathValue("id")} {
				if id != "" && !queue.IsLetterID(id) {
					refuse(w, http.StatusBadRequest, notAnEntry)
					return
				}
			}
			text, err := asked.ask(r.Context(), r.URL.Path+"?"+r.URL.Query().Encode(), func(ctx context.Context) ([]byte, error) {
				found, err := look(ctx, r)
				if err != nil {
					return nil, err
				}
				return json.Marshal(found)
			})
			if err != nil {
				refuse(w, statusOf(err), err.Error())
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(text)
		}))
	}
	list("GET /lists/waiting", p.waiting)
	list("GET /lists/delayed", p.delayed)
	list("GET /lists/dead", p.dead)
	list("GET /lists/dead/{id}", p.letter)
}

func (p *Page) waiting(ctx context.Context, _ *http.Request) (any, error) {
	messages, total, err := p.Inspector.Next(ctx, listed)
	return map[string]any{"messages": messages, "total": total}, err
}

func (p *Page) delayed(ctx context.Context, _ *http.Request) (any, error) {
	messages, total, err := p.Inspector.Delayed(ctx, listed)
	for n := range messages {
		messages[n].Payload = cut(messages[n].Payload)
	}
	return map[string]any{"messages": messages, "total": total}, err
}

func (p *Page) dead(ctx context.Context, r *http.Request) (any, error) {
	// A page of the stream is one command; a reason that few letters have takes several.
	letters, more, err := p.Inspector.Letters(ctx, queue.Selection{
		Newest: true, After: r.FormValue("after"), Reason: queue.Reason(r.FormValue("reason")), Head: headShown,
	}, lettersOf)
	return map[string]any{"letters": letters, "more": more}, err
}

func (p *Page) letter(ctx context.Context, r *http.Request) (any, error) {
	return p.Inspector.Letter(ctx, r.PathValue("id"), mostShown)
}

// cut leaves as much of a payload as a list shows.
func cut(payload string) string { return payload[:min(len(payload), headShown)] }
