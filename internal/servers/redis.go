package servers

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Redis is a private Redis server.
type Redis struct {
	server
}

// StartRedis starts a Redis whose data and log, redis.log, are in dir; it loads
// data that are there. It is fit for a queue: an append-only file synced every
// second, no eviction. Args go to its command line and win over that, as in
// "--appendfsync", "always".
func StartRedis(dir string, args ...string) (*Redis, error) {
	path, err := binary("redis-server")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r := &Redis{server{name: "Redis", log: filepath.Join(dir, "redis.log"), stop: syscall.SIGTERM}}
	r.command = func() *exec.Cmd {
		all := []string{"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"}
		all = append(all, args...)
		all = append(all, // what this package relies on comes last, for the last one wins
			"--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--dir", dir,
			"--daemonize", "no", "--logfile", "", "--loglevel", "notice")
		return exec.Command(path, all...)
	}
	r.ready = func(_ int, log string) bool {
		// Its own words first: a stranger on that port would answer as well.
		return strings.Contains(log, "Ready to accept connections") && answersPing(r.Addr())
	}
	if err := r.start(); err != nil {
		return nil, err
	}
	return r, nil
}

// URL is where clients connect.
func (r *Redis) URL() string { return "redis://" + r.Addr() }

// answersPing reports whether a Redis has loaded its data and answers, be it with
// a request to log in.
func answersPing(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && (strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH"))
}
