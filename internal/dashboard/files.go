package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed static
var static embed.FS

// serveFiles adds the page and its parts. They hold nothing of the queue: anybody may have
// them. A browser asks each time whether its copy is the right one, for the next answer may
// come from a worker of another build.
func serveFiles(mux *http.ServeMux) {
	entries, _ := static.ReadDir("static") // it is embedded
	for _, entry := range entries {
		text, _ := static.ReadFile(path.Join("static", entry.Name()))
		file := serveFile(entry.Name(), text)
		mux.Handle("GET /static/"+entry.Name(), file)
		if entry.Name() == "index.html" {
			mux.Handle("GET /{$}", file)
		}
	}
}

func serveFile(name string, text []byte) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(text))
	kind := mime.TypeByExtension(path.Ext(name))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
	})
}
