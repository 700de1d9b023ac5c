package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

// buildSkewed compiles the worker with a standard library whose time of day is off by
// SKEW_SECONDS, while its measure of time is not. What shifts the clock of other programs
// from outside does not reach one in Go, which asks the kernel by itself.
var buildSkewed = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("", "worker-test-")
	if err != nil {
		return "", err
	}
	testenv.AtEnd(func() { _ = os.RemoveAll(dir) })
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const now = "	sec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), now) != 1 {
		return "", fmt.Errorf("%s: %s has another time.Now than this test knows", original, runtime.Version())
	}
	changed := strings.Replace(string(source), now, now+"	sec += skew\n", 1)
	changed = strings.Replace(changed, "import (\n", "import (\n	\"syscall\"\n", 1) + `
var skew = func() (seconds int64) {
	text, _ := syscall.Getenv("SKEW_SECONDS")
	for _, c := range text {
		if c != '-' {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	if len(text) > 0 && text[0] == '-' {
		return -seconds
	}
	return seconds
}()
`
	replacement, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{replacement: changed, overlay: string(list)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	path = filepath.Join(dir, "worker")
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// Workers whose clocks are an hour ahead, an hour behind and right work side by side as if
// they all were: nobody is reaped alive, the dead are in time, and retries come when due.
func TestWorker_clocksAnHourOff(t *testing.T) {
	binary, err := buildSkewed() // it takes a minute of all processors: alone, before anything runs side by side
	must(t, err)
	s := newSite(t)
	s.env = append(s.env, "RETRY_MAX=500ms")
	const hour = 3600
	var workers []*worker
	for _, skew := range []int{hour, 0, -hour} {
		w := s.startBinary(binary, fmt.Sprint("SKEW_SECONDS=", skew), fmt.Sprint("WORKER_ID=off-by", skew))
		w.awaitStart()
		off := time.Until(w.log("Fulfillment Worker started")[0].Timestamp).Seconds()
		if off < float64(skew)-60 || off > float64(skew)+60 {
			t.Fatalf("its clock is off by %.0f s, want %d: the fault did not happen", off, skew)
		}
		workers = append(workers, w)
	}
	ids := s.order(100)
	next := ids[len(ids)-1] + 1
	s.push(payload(next)) // comes before its order: it is retried
	testenv.Eventually(t, 10*time.Second, "a retry", func() bool { return s.happened("retried") > 1 })
	s.insert(1)
	s.awaitFulfilled(10 * time.Second)
	<-time.After(2 * lease) // all that lives shall beat, and all that reaps shall look
	if n := s.happened("reaped") + testenv.CountTakeovers(t, s.databaseURL); n != 0 {
		t.Errorf("%d reaped or taken over, want none", n)
	}
	for len(workers) > 1 { // the one ahead dies, then the right one, which the one behind must notice
		victim := workers[0]
		workers = workers[1:]
		begun := len(victim.log("Processing order"))
		s.order(40)
		testenv.Eventually(t, 10*time.Second, "the victim at work", func() bool { return len(victim.log("Processing order")) > begun })
		victim.kill()
		testenv.Eventually(t, recovery, "the dead worker reaped", func() bool {
			return s.rdb.ZCard(t.Context(), s.keys.Workers()).Val() == int64(len(workers))
		})
		s.awaitFulfilled(10 * time.Second)
	}
	s.settled(workers...)
}
