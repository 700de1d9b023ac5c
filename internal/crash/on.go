//go:build torture

package crash

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	target, nth, _ = strings.Cut(os.Getenv("CRASHPOINT"), ":")
	passed         atomic.Int64
)

// At is a point at which the process may be made to die.
func At(point string) {
	if point != target {
		return
	}
	want, err := strconv.ParseInt(nth, 10, 64)
	if err != nil {
		want = 1
	}
	if passed.Add(1) == want {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more is done
	}
}
