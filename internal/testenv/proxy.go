package testenv

import (
	"testing"

	"fulfillment-worker/internal/proxy"
)

// Proxy stands between a program and a server and does to their connections what
// networks do.
type Proxy = proxy.Proxy

// NewProxy returns a proxy for the server at target, host:port, until the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p, err := proxy.New(target)
	must(tb, err)
	tb.Cleanup(p.Close)
	return p
}
