package queue_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/queue"
)

// The claim reads what may be a message, up to the last byte, and nothing longer, however
// its bytes come.
func TestDial_readsNothingTooLong(t *testing.T) {
	server, client := certificates(t)
	tests := []struct {
		name           string
		server, client *tls.Config // nil is plain
		piece          int         // bytes that come at once
	}{
		{"plain", nil, nil, 1 << 15},
		{"in single bytes", nil, nil, 1},
		{"encrypted", server, client, 1 << 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			front := forward(t, b.rdb.Options().Addr, tt.server, tt.piece)
			rdb := queue.Dial(&redis.UniversalOptions{Addrs: []string{front}, TLSConfig: tt.client}, 1, 1000)
			t.Cleanup(rdb.Close)
			claiming, key := rdb.Clients()[1], b.keys.Worker("")
			for _, size := range []int{0, 1, 999, 1000, 1001, 10000, 1000} {
				must(t, b.rdb.Set(t.Context(), key, strings.Repeat("x", size), 0).Err())
				got, err := claiming.Get(t.Context(), key).Result()
				if size <= 1000 && (err != nil || len(got) != size) {
					t.Errorf("of %d bytes it reads %d, %v", size, len(got), err)
				}
				if size > 1000 && (err == nil || !strings.Contains(err.Error(), "longer than MAX_MESSAGE_BYTES")) {
					t.Errorf("of %d bytes it reads %d, %v, want an error", size, len(got), err)
				}
			}
		})
	}
}

// A connection that ended while it was idle is not used again: that would cost a claim.
func TestDial_usesNoConnectionThatHasEnded(t *testing.T) {
	b := newBench(t)
	for i, client := range b.dial(b.url).Clients() {
		for range 3 {
			id := client.Do(t.Context(), "client", "id").Val()
			must(t, b.rdb.Do(t.Context(), "client", "kill", "id", id).Err())
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
	}
}

// certificates are those of a server that a client trusts.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // has one
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: trusted}
}

// forward listens, encrypted or not, for the server at target, and sends its answers on
// in pieces.
func forward(t *testing.T, target string, encrypted *tls.Config, piece int) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if encrypted != nil {
		l = tls.NewListener(l, encrypted)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", target)
			if err != nil {
				_ = front.Close()
				continue
			}
			go pump(back, front, 1<<15)
			go pump(front, back, piece)
		}
	}()
	return l.Addr().String()
}

func pump(to, from net.Conn, piece int) {
	defer to.Close()
	defer from.Close()
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, piece))
}
