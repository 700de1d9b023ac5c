// Package servers starts private Redis, PostgreSQL and PgBouncer servers as child processes,
// for the tests, the demo and the benchmark. It runs on Linux, with the servers
// that scripts/install-servers.sh installs.
//
// # What callers may rely on
//
//   - A server listens on 127.0.0.1 only, on a port of its own that it keeps over
//     a restart. Nothing of it stands outside the directory that it was given.
//   - A server that was started answers. One that does not start is not left
//     running, and the error ends with the last lines of its log.
//   - No server outlives this process, however that ends: the kernel kills it.
//   - Kill is a crash: SIGKILL, to the server and to the processes it has
//     started. Restart finds what the server had on disk then.
//   - Methods may be called from any goroutine, in any state, any number of times.
//
// # What this package never does
//
//   - It never touches a server that it has not started.
//   - It never removes a directory.
//   - It does not import testing; package testenv is for tests.
package servers

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// OrdersSchema is the SQL that creates the orders table as the Order API has it.
//
//go:embed orders.sql
var OrdersSchema string

// TempDir makes a new directory under [os.TempDir] that suits any server: the user as
// whom PostgreSQL and PgBouncer run may pass through it. The caller removes it.
func TempDir() (string, error) {
	dir, err := os.MkdirTemp("", "fulfillment-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// binary finds a program in PATH, or else where Debian keeps PgBouncer, or those of
// PostgreSQL; of several versions it takes the newest.
func binary(name string) (string, error) {
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	newest, version := "", -1.0
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	for _, path := range paths {
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64)
		if err == nil && v > version {
			newest, version = path, v
		}
	}
	if newest == "" {
		return "", missing(name)
	}
	return newest, nil
}

func missing(name string) error {
	return fmt.Errorf("%s is not installed; scripts/install-servers.sh installs it", name)
}

// freePort returns a port that nobody listens on, below those that the kernel
// gives to outgoing connections: a client that reconnects while its server is
// down may else get the server's own port, connect to itself and keep it.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(10000)
		var l net.Listener
		if l, err = net.Listen("tcp", address(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// poll waits until done says so, or for so long. It returns what done said last.
func poll(within time.Duration, done func() bool) bool {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
