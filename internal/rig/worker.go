package rig

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"fulfillment-worker/internal/servers"
)

// stopWithin is above SHUTDOWN_TIMEOUT's default.
const stopWithin = 12 * time.Second

// Worker is a running worker.
type Worker struct {
	Name string

	process *os.Process
	ended   <-chan struct{} // closed once it is dead and buried
}

// Start runs a worker under that name with those settings, as in "LEASE_TTL=2s",
// and without its HTTP server. Follow gets each line of its log, in order, from a
// goroutine of the worker's own; nil lets nobody read it.
func (r *Rig) Start(name string, follow func(Line), settings ...string) (*Worker, error) {
	cmd := exec.Command(filepath.Join(r.dir, "worker"))
	cmd.Env = append([]string{
		"WORKER_ID=" + name, "DATABASE_URL=" + r.WorkerURL(), "REDIS_URL=" + r.Redis.URL(), "HTTP_ADDR=off",
	}, settings...)
	log, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd.Stdout, cmd.Stderr = in, in
	process, ended, err := servers.Spawn(cmd)
	if err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	w := &Worker{Name: name, process: process, ended: ended}
	go w.read(log, follow)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.workers = append(r.workers, w)
	return w, nil
}

func (w *Worker) read(log io.ReadCloser, follow func(Line)) {
	defer log.Close()
	if follow == nil {
		_, _ = io.Copy(io.Discard, log)
		return
	}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		follow(parse(w.Name, lines.Bytes()))
	}
}

// PID is the process of the worker.
func (w *Worker) PID() int { return w.process.Pid }

// Kill ends the worker by SIGKILL. It returns when that was sent, once the process
// is gone; its last lines may still be on their way to follow.
func (w *Worker) Kill() time.Time {
	at := time.Now()
	_ = w.process.Kill()
	<-w.ended
	return at
}

// Stop ends the worker by SIGTERM, and kills it where that takes too long.
func (w *Worker) Stop() {
	_ = w.process.Signal(syscall.SIGTERM)
	select {
	case <-w.ended:
	case <-time.After(stopWithin):
		w.Kill()
	}
}
