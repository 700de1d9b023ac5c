package queue

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// errTooLong means that Redis has moved a message, and that it is longer than the worker
// reads.
var errTooLong = errors.New("the message is longer than MAX_MESSAGE_BYTES")

// guard gives the connections of o a guard against replies of more than that many bytes.
// Without it a message decides how much memory the worker takes: go-redis makes room for
// what a reply announces before anybody sees it.
func guard(o *redis.UniversalOptions, longest int) *redis.UniversalOptions {
	dial := redis.NewDialer(o.Simple())
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		g := &guarded{Conn: conn, longest: longest}
		if raw, ok := conn.(syscall.Conn); ok { // by which go-redis sees that an idle connection has ended
			return struct {
				*guarded
				syscall.Conn
			}{g, raw}, nil
		}
		return g, nil
	}
	return o
}

// guarded is a connection whose Read fails with errTooLong once the first reply after a
// request announces a string of more than longest bytes. Redis then finds it closed.
type guarded struct {
	net.Conn
	longest   int
	announced int // what of the reply's length is known, or one of the following
}

const (
	replyBegins = -1
	replyPasses = -2
)

func (g *guarded) Write(request []byte) (int, error) {
	g.announced = replyBegins
	return g.Conn.Write(request)
}

func (g *guarded) Read(reply []byte) (int, error) {
	if g.announced > g.longest { // go-redis peeks, overlooks an error, and reads on
		return 0, errTooLong
	}
	n, err := g.Conn.Read(reply)
	for _, char := range reply[:n] {
		if g.announced = announce(g.announced, char); g.announced > g.longest {
			return 0, errTooLong
		}
		if g.announced == replyPasses {
			break
		}
	}
	return n, err
}

// announce reads one more byte of "$<length>\r\n".
func announce(sofar int, char byte) int {
	switch {
	case sofar == replyBegins && char == '$':
		return 0
	case sofar >= 0 && '0' <= char && char <= '9':
		return sofar*10 + int(char-'0')
	}
	return replyPasses
}
