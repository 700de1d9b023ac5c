package servers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startWithin bounds a start with its recovery from a crash.
const startWithin = 60 * time.Second

var (
	errNotRunning = errors.New("the server does not run")
	errPortTaken  = errors.New("somebody else took the port")
)

// server is what Redis, PostgreSQL and PgBouncer have in common here.
type server struct {
	name string // for errors
	log  string // the file that has its output; grows over restarts
	port int
	stop syscall.Signal // asks it to shut down in order

	configure func() error                   // writes its file, with port; nil where it has none
	command   func() *exec.Cmd               // its command line, with port
	ready     func(pid int, log string) bool // whether it serves, given its output since the start
	swept     func()                         // runs after its end; nil for nothing

	mu    sync.Mutex // held by whatever changes the state of child, and child
	child *child
}

// start runs the server on a port of its own.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range 5 { // another process may get between the choice and the use
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.launch(); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// launch starts the process and waits until it serves.
func (s *server) launch() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Stat()
	if err != nil {
		return err
	}
	output := func() string { return readFrom(log, before.Size()) }

	if s.configure != nil {
		if err := s.configure(); err != nil {
			return err
		}
	}
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	c, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	poll(startWithin, func() bool { return !c.alive() || s.ready(c.process.Pid, output()) })
	if c.alive() && s.ready(c.process.Pid, output()) {
		s.child = c
		return nil
	}
	died := !c.alive()
	c.kill()
	return s.startError(died, output())
}

func (s *server) startError(died bool, output string) error {
	why := fmt.Errorf("not ready within %v", startWithin)
	switch {
	case strings.Contains(output, "Address already in use"):
		why = errPortTaken
	case died:
		why = errors.New("it ended at once")
	}
	return fmt.Errorf("start %s: %w; its log ends:\n%s", s.name, why, lastLines(output, 15))
}

// Kill ends the server as a crash would: by SIGKILL, with all its processes. They
// are gone when it returns.
func (s *server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child != nil {
		s.child.kill()
	}
}

// Restart starts the server again, on the same port and with its data, and waits
// until it has recovered and serves. One that runs is shut down first.
func (s *server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	return s.launch()
}

// Pause stops all processes of the server by SIGSTOP: its connections stay, and
// nothing answers on them.
func (s *server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		return errNotRunning
	}
	return s.child.pause()
}

// Resume undoes Pause.
func (s *server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil || !s.child.alive() {
		return errNotRunning
	}
	s.child.resume()
	return nil
}

// Stop shuts the server down in order, or kills it where that takes too long. Its
// data stay.
func (s *server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if s.swept != nil {
		s.swept()
	}
}

// Addr is where the server listens: host and port.
func (s *server) Addr() string { return address(s.port) }

func (s *server) end() {
	if s.child != nil {
		s.child.end(s.stop)
	}
}

func readFrom(f *os.File, offset int64) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	return string(b)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
