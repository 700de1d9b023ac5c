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
	defer l.mu.Unlock()
	l.last = bytes.Clone(request)
	return request, false
}

func (l *link) answered(reply []byte) (pass []byte, broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	loss := &l.proxy.loss
	if loss.left == 0 || !bytes.Contains(l.last, []byte(loss.request)) || !loss.wanted(reply) {
		return reply, false
	}
	loss.left--
	loss.lost++
	return reply[:min(loss.keep, len(reply)-1)], true
}
