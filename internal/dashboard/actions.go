package dashboard

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"

	"fulfillment-worker/internal/queue"
)

const (
	mostLetters = 200 // that one action may name
	actionMay   = 10 * time.Second
	longestName = 60
)

// wish is what an action is told.
type wish struct {
	By  string   // a person's name, as far as known
	IDs []string // of dead letters
}

func (p *Page) serveActions(mux *http.ServeMux) {
	action := func(name string, does func(context.Context, Operator, wish) (any, error)) {
		mux.Handle("POST /actions/"+name, p.acting(func(w http.ResponseWriter, r *http.Request) {
			var wanted wish
			if !read(w, r, &wanted) {
				return
			}
			if len(wanted.IDs) > mostLetters {
				refuse(w, http.StatusBadRequest, "too many dead letters at once")
				return
			}
			for _, id := range wanted.IDs {
				if !queue.IsLetterID(id) {
					refuse(w, http.StatusBadRequest, notAnEntry)
					return
				}
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actionMay)
			defer cancel()
			who := whoIs(wanted.By, r)
			done, err := does(ctx, p.Operator(who), wanted)
			if err != nil {
				refuse(w, statusOf(err), err.Error())
				return
			}
			p.Log.InfoContext(r.Context(), "somebody acted on the live page", "action", name, "by", who, "letters", len(wanted.IDs))
			tell(w, http.StatusOK, map[string]any{"done": done})
		}))
	}
	action("pause", func(ctx context.Context, o Operator, _ wish) (any, error) { return o.Pause(ctx) })
	action("resume", func(ctx context.Context, o Operator, _ wish) (any, error) { return o.Resume(ctx) })
	action("requeue", func(ctx context.Context, o Operator, w wish) (any, error) { return o.Requeue(ctx, w.IDs...) })
	action("drop", func(ctx context.Context, o Operator, w wish) (any, error) { return o.Drop(ctx, w.IDs...) })
}

// whoIs is how an event names somebody: by the name given, which may be any, and the address,
// which is not.
func whoIs(name string, r *http.Request) string {
	name = strings.Join(strings.FieldsFunc(name, func(c rune) bool { return !unicode.IsGraphic(c) || unicode.IsSpace(c) }), " ")
	if letters := []rune(name); len(letters) > longestName {
		name = string(letters[:longestName])
	}
	if name == "" {
		name = "somebody"
	}
	from := r.RemoteAddr
	if host := strings.LastIndexByte(from, ':'); host > 0 {
		from = from[:host]
	}
	return name + " on the page, from " + from
}
