// Package proxy stands between a program and a server and does to their connections
// what networks do: it loses answers and tears them, slows bytes down, holds them back,
// and breaks connections.
//
// # What callers may rely on
//
//   - What it is not told to harm passes unchanged, in order, at once.
//   - Whatever it harms is counted: a fault that did not happen can be told from one
//     that did.
//   - Methods may be called from any goroutine, any number of times.
//
// # What this package never does
//
//   - It never answers in a server's place, and never sends a request twice.
package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a listener that forwards each of its connections to one server.
type Proxy struct {
	listener net.Listener
	target   string
	held     atomic.Int64
	slowed   atomic.Int64

	mu    sync.Mutex
	loss  loss
	reset bool
	kept  kept
	deaf  chan struct{} // closed unless bytes are held back
	delay time.Duration
	slice int // most bytes that are sent on in one piece; 0 is no limit
	conns map[net.Conn]bool
}

// New returns a proxy for the server at target, host:port. The caller closes it.
func New(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, deaf: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(p.deaf)
	go p.accept()
	return p, nil
}

// Close refuses further connections and breaks those that there are.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.KeepRequests("")()
	p.Hear()
	p.CutAll()
}

// Addr is where the program shall connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// loss is an order to lose answers, or requests.
type loss struct {
	request    string
	early      bool // the request is lost, not its answer
	wanted     func(reply []byte) bool
	keep       int           // bytes of the answer that still pass
	late       time.Duration // the answer is not lost, but waits for so long
	left, lost int
}

// kept are the requests that wait in the proxy.
type kept struct {
	request string
	n       int
	release chan struct{} // nil where none are kept
}

// LoseReplies loses the answers to the next n requests that contain the text, where
// wanted says that it is such an answer: the server has carried the request out, the
// connection breaks before the program hears of it. A nil wanted is any answer. The
// call replaces whatever was ordered before; n = 0 is an end of it.
func (p *Proxy) LoseReplies(n int, request string, wanted func(reply []byte) bool) {
	p.TearReplies(n, 0, request, wanted)
}

// TearReplies does as [Proxy.LoseReplies], but lets the first bytes of each answer
// pass: so many, or all but one.
func (p *Proxy) TearReplies(n, first int, request string, wanted func(reply []byte) bool) {
	if wanted == nil {
		wanted = func([]byte) bool { return true }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = loss{request: request, wanted: wanted, keep: first, left: n}
}

// DelayReplies holds such answers back for so long; nothing breaks by it.
func (p *Proxy) DelayReplies(n int, by time.Duration, request string, wanted func(reply []byte) bool) {
	p.LoseReplies(n, request, wanted)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss.late = by
}

// LoseRequests loses the next n requests that contain the text: the server never hears of
// them, and the connection breaks. It replaces what [Proxy.LoseReplies] ordered.
func (p *Proxy) LoseRequests(n int, request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = loss{request: request, early: true, left: n}
}

// ResetOnLoss lets the connections that break for a loss end by a reset, in the program's
// eyes, rather than in order.
func (p *Proxy) ResetOnLoss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset = true
}

// KeepRequests holds back each request that contains the text until release is called;
// then they go on their way, late, even if the program has given its connection up. The
// next call releases what the one before keeps.
func (p *Proxy) KeepRequests(request string) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letGo()
	p.kept = kept{request: request, release: make(chan struct{})}
	mine := p.kept.release
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.kept.release == mine {
			p.letGo()
		}
	}
}

// letGo releases what is kept, if anything is.
func (p *Proxy) letGo() {
	if p.kept.release != nil {
		close(p.kept.release)
		p.kept.release = nil
	}
}

// Kept is how many requests were held back since the last call of KeepRequests.
func (p *Proxy) Kept() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept.n
}

// Lost is how many answers or requests were lost, torn or late since that was ordered last.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loss.lost
}

// Deafen holds back every byte in both directions; connections stay open. Nobody is
// refused: it is a black hole.
func (p *Proxy) Deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.deaf:
		p.deaf = make(chan struct{})
	default: // it is deaf
	}
}

// Hear ends what Deafen began: what was held back goes on its way.
func (p *Proxy) Hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.deaf:
	default:
		close(p.deaf)
	}
}

// Slow lets everything wait for that delay and go on in pieces of so many bytes at
// most. Zeros end it.
func (p *Proxy) Slow(delay time.Duration, slice int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.slice = delay, slice
}

// Held is how many reads met a black hole so far.
func (p *Proxy) Held() int { return int(p.held.Load()) }

// Slowed is how many reads were delayed or sliced so far.
func (p *Proxy) Slowed() int { return int(p.slowed.Load()) }

// CutAll breaks every connection, and says how many there were.
func (p *Proxy) CutAll() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	return len(p.conns) / 2
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

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}
