package testenv

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a program and a server and does to their connections what
// networks do.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	loss  loss
	delay time.Duration
	slice int           // most bytes sent on in one piece; 0 is no limit
	deaf  chan struct{} // closed unless bytes are held back
	conns map[net.Conn]bool
}

// loss is an order to harm some requests, or the answers to them.
type loss struct {
	request    string
	wanted     func(reply []byte) bool
	before     bool // they never reach the server
	harm       func(client net.Conn, reply []byte) (pass []byte, broken bool)
	left, lost int
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
// connection breaks before the program hears of it. A nil wanted is any answer. The call
// replaces whatever was ordered before.
func (p *Proxy) LoseReplies(n int, request string, wanted func(reply []byte) bool) {
	p.TearReplies(n, 0, request, wanted)
}

// TearReplies does as LoseReplies, but lets the first bytes of each answer pass.
func (p *Proxy) TearReplies(n, first int, request string, wanted func(reply []byte) bool) {
	p.order(loss{left: n, request: request, wanted: wanted, harm: func(_ net.Conn, reply []byte) ([]byte, bool) {
		return reply[:min(first, len(reply))], true
	}})
}

// ResetReplies does as LoseReplies, but the program finds the connection reset.
func (p *Proxy) ResetReplies(n int, request string, wanted func(reply []byte) bool) {
	p.order(loss{left: n, request: request, wanted: wanted, harm: func(client net.Conn, _ []byte) ([]byte, bool) {
		_ = client.(*net.TCPConn).SetLinger(0)
		return nil, true
	}})
}

// DelayReplies holds such answers back for so long.
func (p *Proxy) DelayReplies(n int, by time.Duration, request string, wanted func(reply []byte) bool) {
	p.order(loss{left: n, request: request, wanted: wanted, harm: func(_ net.Conn, reply []byte) ([]byte, bool) {
		<-time.After(by)
		return reply, false
	}})
}

// LoseRequests breaks the connection before the next n requests that contain the text
// reach the server.
func (p *Proxy) LoseRequests(n int, request string) {
	p.order(loss{left: n, request: request, before: true, harm: func(net.Conn, []byte) ([]byte, bool) { return nil, true }})
}

func (p *Proxy) order(l loss) {
	if l.wanted == nil {
		l.wanted = func([]byte) bool { return true }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = l
}

// Lost is how many requests or answers were harmed since the last order to.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loss.lost
}

// Slow lets everything wait for that delay and go on in pieces of so many bytes at most.
// Zeros end it.
func (p *Proxy) Slow(delay time.Duration, slice int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.slice = delay, slice
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

// pump forwards what look lets pass, and breaks the link at the end.
func (l *link) pump(from, to net.Conn, look func([]byte) (pass []byte, broken bool)) {
	defer l.client.Close()
	defer l.server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		<-l.proxy.hearing()
		pass, broken := look(buf[:n])
		if err := l.proxy.write(to, pass); err != nil || broken {
			return
		}
	}
}

// write sends bytes on, as slowly as the proxy was told to.
func (p *Proxy) write(to net.Conn, b []byte) error {
	p.mu.Lock()
	delay, slice := p.delay, p.slice
	p.mu.Unlock()
	if delay > 0 {
		<-time.After(delay)
	}
	if slice == 0 {
		slice = max(1, len(b))
	}
	for piece := range slices.Chunk(b, slice) {
		if _, err := to.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) sent(request []byte) (pass []byte, broken bool) {
	l.mu.Lock()
	l.last = bytes.Clone(request)
	l.mu.Unlock()
	return l.harmed(request, request, true)
}

func (l *link) answered(reply []byte) (pass []byte, broken bool) {
	l.mu.Lock()
	request := l.last
	l.mu.Unlock()
	return l.harmed(request, reply, false)
}

// harmed is what is left of the bytes, which are the request or the answer to it.
func (l *link) harmed(request, data []byte, before bool) (pass []byte, broken bool) {
	loss := &l.proxy.loss
	l.proxy.mu.Lock()
	hit := loss.left > 0 && loss.before == before && bytes.Contains(request, []byte(loss.request)) && loss.wanted(data)
	harm := loss.harm
	if hit {
		loss.left--
		loss.lost++
	}
	l.proxy.mu.Unlock()
	if !hit {
		return data, false
	}
	return harm(l.client, data)
}
