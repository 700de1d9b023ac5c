package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// health asks a worker how it is, as an orchestrator does.
type health struct {
	*testing.T
	addr string
}

// newHealth finds an address where a worker can tell its health.
func newHealth(t *testing.T) health {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return health{t, l.Addr().String()}
}

func (h health) setting() string { return "HTTP_ADDR=" + h.addr }

// ask is 0 where there is no answer.
func (h health) ask(path string) (status int, body string) {
	resp, err := http.Get("http://" + h.addr + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func (h health) status(path string) int {
	status, _ := h.ask(path)
	return status
}

// ready waits until /readyz answers so: the promise is two seconds, a busy machine takes
// a little more.
func (h health) ready(want int) {
	h.Helper()
	testenv.Eventually(h, 3*time.Second, fmt.Sprintf("/readyz answering %d", want), func() bool { return h.status("/readyz") == want })
	h.lives()
}

func (h health) lives() {
	h.Helper()
	if got := h.status("/healthz"); got != 200 {
		h.Errorf("/healthz answers %d, want 200: a restart would not help", got)
	}
}
