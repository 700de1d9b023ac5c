package testenv

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a program and a server and does to their connections what
// networks do.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cut   *cut
	cuts  int
	deaf  chan struct{} // closed unless bytes are held back
	conns map[net.Conn]bool
}

type cut struct {
	request string
	reply   func([]byte) bool
	left    int
}

// NewProxy returns a proxy for the server at target, host:port, until the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, deaf: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(p.deaf)
	go p.accept()
	tb.Cleanup(func() {
		_ = l.Close()
		p.Hear()
		p.CutAll()
	})
	return p
}

// Addr is where the program shall connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// LoseReplies loses the answers to the next n requests that contain the text, where
// wanted says that it is such an answer: the server has carried the request out, the
// connection breaks before the program hears of it. A nil wanted is any answer.
func (p *Proxy) LoseReplies(n int, request string, wanted func(reply []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wanted == nil {
		wanted = func([]byte) bool { return true }
	}
	p.cut, p.cuts = &cut{request, wanted, n}, 0
}

// Lost is how many answers were lost since the last call of LoseReplies.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Deafen holds back every byte in both directions; connections stay open. Nobody is
// refused: it is a black hole.
func (p *Proxy) Deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = make(chan struct{})
}

// Hear ends what Deafen began.
func (p *Proxy) Hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.deaf:
	default:
		close(p.deaf)
	}
}

// CutAll breaks every connection.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) hearing() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaf
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.track(client, server)
		link := &link{proxy: p, client: client, server: server}
		go link.pump(client, server, link.sent)
		go link.pump(server, client, link.answered)
	}
}

func (p *Proxy) track(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
}

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu   sync.Mutex
	last []byte // the request whose answer is due
}

// pump forwards bytes as long as look lets them pass, and breaks the link at the end.
func (l *link) pump(from, to net.Conn, look func([]byte) bool) {
	defer l.client.Close()
	defer l.server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		<-l.proxy.hearing()
		if !look(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (l *link) sent(request []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = bytes.Clone(request)
	return true
}

func (l *link) answered(reply []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	c := l.proxy.cut
	if c == nil || c.left == 0 || !bytes.Contains(l.last, []byte(c.request)) || !c.reply(reply) {
		return true
	}
	c.left--
	l.proxy.cuts++
	return false
}
