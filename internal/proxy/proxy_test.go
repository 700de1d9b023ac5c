package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/proxy"
)

// echo is a server that answers each line by "+" and the line.
func echo(t *testing.T) string {
	t.Helper()
	return echoTo(t, make(chan string, 1000))
}

// echoTo also tells the lines.
func echoTo(t *testing.T, served chan<- string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					served <- lines.Text()
					if _, err := io.WriteString(conn, "+"+lines.Text()+"\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func start(t *testing.T) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(echo(t))
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn
}

// say sends a line and returns what comes back until its end, or the end.
func say(t *testing.T, conn net.Conn, line string) string {
	t.Helper()
	_, err := io.WriteString(conn, line+"\n")
	must(t, err)
	return hear(conn)
}

func hear(conn net.Conn) string {
	var heard strings.Builder
	for b := make([]byte, 1); ; {
		if _, err := conn.Read(b); err != nil || b[0] == '\n' {
			return heard.String()
		}
		heard.Write(b)
	}
}

func TestProxy_losesAndTearsReplies(t *testing.T) {
	t.Parallel()
	p := start(t)
	ask := func(line, want string, lost int) {
		t.Helper()
		if got := say(t, dial(t, p), line); got != want || p.Lost() != lost {
			t.Errorf("%q is answered by %q with %d lost, want %q and %d", line, got, p.Lost(), want, lost)
		}
	}
	p.LoseReplies(2, "pop", nil)
	ask("get", "+get", 0)
	ask("pop", "", 1)
	ask("pop", "", 2)
	ask("pop", "+pop", 2)
	p.TearReplies(1, 3, "pop", func(reply []byte) bool { return strings.Contains(string(reply), "torn") })
	ask("pop", "+pop", 0)
	ask("pop torn", "+po", 1)
	ask("pop torn", "+pop torn", 1)
	p.TearReplies(1, 100, "pop", nil)
	ask("pop", "+pop", 1) // all but the end of the line
	p.LoseReplies(1, "pop", nil)
	p.LoseReplies(0, "", nil)
	ask("pop", "+pop", 0)
}

func TestProxy_losesRequests(t *testing.T) {
	t.Parallel()
	served := make(chan string, 10)
	p, err := proxy.New(echoTo(t, served))
	must(t, err)
	t.Cleanup(p.Close)
	p.LoseRequests(1, "pop")
	if got := say(t, dial(t, p), "pop"); got != "" || p.Lost() != 1 {
		t.Errorf("a lost request is answered by %q, %d lost, want nothing and 1", got, p.Lost())
	}
	if got := say(t, dial(t, p), "pop again"); got != "+pop again" {
		t.Errorf("the request after it is answered by %q", got)
	}
	if first := <-served; first != "pop again" {
		t.Errorf("the server heard of %q", first)
	}
}

func TestProxy_resets(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		p := start(t)
		if reset {
			p.ResetOnLoss()
		}
		p.LoseReplies(1, "pop", nil)
		conn := dial(t, p)
		_, err := io.WriteString(conn, "pop\n")
		must(t, err)
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) != reset {
			t.Errorf("the connection ends by %v, reset: %v", err, reset)
		}
	}
}

func TestProxy_keepsRequests(t *testing.T) {
	t.Parallel()
	served := make(chan string, 10)
	p, err := proxy.New(echoTo(t, served))
	must(t, err)
	t.Cleanup(p.Close)
	release := p.KeepRequests("late")
	conn := dial(t, p)
	_, err = io.WriteString(conn, "late\n")
	must(t, err)
	if got := say(t, dial(t, p), "other"); got != "+other" {
		t.Errorf("another request is answered by %q", got)
	}
	for p.Kept() == 0 {
		runtime.Gosched()
	}
	must(t, conn.Close())
	release()
	if first, second := <-served, <-served; first != "other" || second != "late" {
		t.Errorf("the server heard of %q, then %q, want other, then late", first, second)
	}
	if got := say(t, dial(t, p), "late"); got != "+late" {
		t.Errorf("after the release it is answered by %q", got)
	}
}

func TestProxy_holdsBack(t *testing.T) {
	t.Parallel()
	p := start(t)
	conn := dial(t, p)
	say(t, conn, "hello")
	p.Deafen()
	p.Deafen() // again does nothing
	_, err := io.WriteString(conn, "anybody?\n")
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond))) // time is the subject: nothing comes
	if got := hear(conn); got != "" {
		t.Errorf("out of a black hole comes %q", got)
	}
	if p.Held() == 0 {
		t.Error("nothing was held back")
	}
	p.Hear()
	must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	if got := hear(conn); got != "+anybody?" {
		t.Errorf("after it comes %q, want +anybody?", got)
	}
}

func TestProxy_slows(t *testing.T) {
	t.Parallel()
	p := start(t)
	conn := dial(t, p)
	say(t, conn, "hello")
	const delay = 50 * time.Millisecond
	p.Slow(delay, 1)
	begin := time.Now()
	if got := say(t, conn, "slowly"); got != "+slowly" {
		t.Errorf("what comes in slices is %q, want +slowly", got)
	}
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
	if p.Slowed() == 0 {
		t.Error("nothing was slowed")
	}
	p.Slow(0, 0)
	before := p.Slowed()
	if got := say(t, conn, "fast"); got != "+fast" || p.Slowed() != before {
		t.Errorf("at its end comes %q, %d reads slowed", got, p.Slowed()-before)
	}
}

func TestProxy_cutsAll(t *testing.T) {
	t.Parallel()
	p := start(t)
	conns := []net.Conn{dial(t, p), dial(t, p)}
	for _, conn := range conns {
		say(t, conn, "hello")
	}
	if n := p.CutAll(); n != len(conns) {
		t.Errorf("%d connections cut, want %d", n, len(conns))
	}
	for _, conn := range conns {
		if got := hear(conn); got != "" {
			t.Errorf("a broken connection says %q", got)
		}
	}
	for deadline := time.After(10 * time.Second); p.CutAll() != 0; { // each is forgotten by its own end
		select {
		case <-deadline:
			t.Fatal("broken connections are kept in mind")
		default:
		}
	}
	if got := say(t, dial(t, p), "hello"); got != "+hello" {
		t.Errorf("a new connection says %q, want +hello", got)
	}
	p.Close()
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a closed proxy accepts connections")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
