//go:build torture

package crash

import (
	"cmp"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	target, after, _ = strings.Cut(os.Getenv("CRASHPOINT"), ":")
	nth, action, _   = strings.Cut(after, ":")
	want, _          = strconv.ParseInt(cmp.Or(nth, "1"), 10, 64)
	passed           atomic.Int64
)

// At is a point at which the process may be made to die, or to freeze.
func At(point string) {
	if point != target || passed.Add(1) != want {
		return
	}
	if action == "stop" {
		freeze()
		return // somebody has sent SIGCONT
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing more is done
}

// freeze stops the process, this thread first: a signal to the process may be taken by
// another thread, and this one would go on a little.
func freeze() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = syscall.Tgkill(os.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
}
