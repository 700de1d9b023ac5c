// Package testenv gives the tests real servers: Redis, PostgreSQL and PgBouncer,
// private to the test process. Only _test.go files import it.
//
// # What callers may rely on
//
//   - Tests that share a server cannot meet: each has a queue name or a database
//     to itself, which is deleted at the test's end. They may run in parallel.
//   - A test that breaks its server gets one of its own from [OwnRedis] or
//     [OwnPostgres].
//   - Every database has an audit of all that happened to its orders, see
//     [CheckContract], and a role with the worker's rights and no more, see
//     [WorkerURL].
//   - A server that cannot be started fails the test.
//
// # What this package never does
//
//   - It never skips a test.
//   - It never uses a server that runs already, and leaves none behind.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/servers"
)

// cleanUpWithin bounds what is done after a test, when its context has ended.
const cleanUpWithin = 30 * time.Second

// shared are the servers of this test process; each starts when first asked for.
var (
	shared struct {
		sync.Mutex
		main bool     // Main runs, and will take down what stands in ends
		ends []func() // in the order of the starts
	}
	sharedRedis    = sync.OnceValues(startSharedRedis)
	sharedPostgres = sync.OnceValues(startSharedPostgres)

	serial atomic.Int64 // makes names unique
)

// Main runs the tests, stops the servers that they shared, removes their
// directories and exits. A package whose tests use this one says
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
func Main(m *testing.M) {
	shared.main = true
	code := m.Run()
	shared.Lock()
	for _, end := range slices.Backward(shared.ends) {
		end()
	}
	shared.Unlock()
	os.Exit(code)
}

func startSharedRedis() (*servers.Redis, error) {
	dir, err := sharedDir()
	if err != nil {
		return nil, err
	}
	r, err := servers.StartRedis(dir)
	if err != nil {
		return nil, err
	}
	AtEnd(r.Stop)
	return r, nil
}

func startSharedPostgres() (*servers.Postgres, error) {
	dir, err := sharedDir()
	if err != nil {
		return nil, err
	}
	p, err := servers.StartPostgres(dir, "fsync=off", "full_page_writes=off") // nobody crashes it
	if err != nil {
		return nil, err
	}
	AtEnd(p.Stop)
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpWithin)
	defer cancel()
	return p, prepare(ctx, p)
}

func sharedDir() (string, error) {
	if !shared.main {
		return "", errors.New("testenv: the package's TestMain must call testenv.Main")
	}
	dir, err := servers.TempDir()
	if err == nil {
		AtEnd(func() { _ = os.RemoveAll(dir) })
	}
	return dir, err
}

// AtEnd runs f when [Main] has run the tests.
func AtEnd(f func()) {
	shared.Lock()
	defer shared.Unlock()
	shared.ends = append(shared.ends, f)
}

// ownDir is a directory for a server of the test's own. It goes after the server,
// whose clean-up is registered later.
func ownDir(tb testing.TB) string {
	tb.Helper()
	dir, err := servers.TempDir()
	must(tb, err)
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// Eventually waits until cond holds, and fails the test where it does not within
// that time: "after 5s: still not <what>".
func Eventually(tb testing.TB, within time.Duration, what string, cond func() bool) {
	tb.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("after %v: still not %s", within, what)
		}
	}
}

// cleanUpContext is for the time after the test, when tb.Context has ended.
func cleanUpContext(tb testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(tb.Context()), cleanUpWithin)
}

func uniqueName() string { return fmt.Sprintf("test_%d", serial.Add(1)) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
