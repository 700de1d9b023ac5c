package proxy

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu   sync.Mutex
	last []byte // the request whose answer is due
}

// pump forwards what look lets pass, and breaks the link at the end.
func (l *link) pump(from, to net.Conn, look func([]byte) (pass []byte, broken bool)) {
	defer l.proxy.forget(l.client, l.server)
	defer l.client.Close()
	defer l.server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.proxy.awaitHearing()
		pass, broken := look(buf[:n])
		if err := l.proxy.write(to, pass); err != nil || broken {
			return
		}
	}
}

func (p *Proxy) awaitHearing() {
	p.mu.Lock()
	deaf := p.deaf
	p.mu.Unlock()
	select {
	case <-deaf:
	default:
		p.held.Add(1)
		<-deaf
	}
}

// write sends bytes on, as slowly as the proxy was told to.
func (p *Proxy) write(to net.Conn, b []byte) error {
	p.mu.Lock()
	delay, slice := p.delay, p.slice
	p.mu.Unlock()
	if delay > 0 || slice > 0 {
		p.slowed.Add(1)
		time.Sleep(delay)
	}
	if slice == 0 {
		slice = len(b)
	}
	for len(b) > 0 {
		n, err := to.Write(b[:min(slice, len(b))])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (l *link) sent(request []byte) (pass []byte, broken bool) {
	l.mu.Lock()
	l.last = bytes.Clone(request)
	l.mu.Unlock()
	if release := l.proxy.keeps(request); release != nil {
		<-release
	}
	if l.lose(func(loss loss) bool { return loss.early && bytes.Contains(request, []byte(loss.request)) }) {
		return nil, true
	}
	return request, false
}

// keeps returns what a request has to wait for; nil is nothing.
func (p *Proxy) keeps(request []byte) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept.release == nil || !bytes.Contains(request, []byte(p.kept.request)) {
		return nil
	}
	p.kept.n++
	return p.kept.release
}

func (l *link) answered(reply []byte) (pass []byte, broken bool) {
	l.mu.Lock()
	request := l.last
	l.mu.Unlock()
	var harm loss
	if !l.lose(func(order loss) bool {
		harm = order
		return !order.early && bytes.Contains(request, []byte(order.request)) && order.wanted(reply)
	}) {
		return reply, false
	}
	if harm.late > 0 {
		time.Sleep(harm.late)
		return reply, false
	}
	return reply[:min(harm.keep, len(reply)-1)], true
}

// lose reports whether the link shall break here, and notes that it does.
func (l *link) lose(here func(loss) bool) bool {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loss.left == 0 || !here(p.loss) {
		return false
	}
	p.loss.left--
	p.loss.lost++
	if tcp, ok := l.client.(*net.TCPConn); ok && p.reset {
		_ = tcp.SetLinger(0)
	}
	return true
}
