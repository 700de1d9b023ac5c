package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// writeTime is how long a browser may take to accept a picture before it is given up.
const writeTime = 10 * time.Second

// stream sends a picture after each look, as server-sent events. A look has its time-outs
// and every one makes a picture, so that a browser to which none comes for some seconds has
// lost the worker.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies that gather answers would make it no stream
	send := http.NewResponseController(w)
	write := func(format string, args ...any) bool {
		_ = send.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return false
		}
		return send.Flush() == nil
	}
	if !write("retry: 1000\n\n") {
		return
	}
	n := 0
	for frame := range p.Live.Watch(r.Context()) {
		text, err := json.Marshal(frame)
		if err != nil {
			p.Log.ErrorContext(r.Context(), "a picture cannot be told", "error", err)
			return
		}
		if n++; !write("id: %d\ndata: %s\n\n", n, text) {
			return
		}
	}
}
