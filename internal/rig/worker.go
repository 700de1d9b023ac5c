package rig

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"fulfillment-worker/internal/servers"
)

// stopWithin is above SHUTDOWN_TIMEOUT's default.
const stopWithin = 12 * time.Second

// Worker is a running worker.
type Worker struct {
	Name string

	cmd   *exec.Cmd
	ended <-chan struct{} // closed once it is dead and buried
}

// Start runs a worker under that name with those settings, as in "LEASE_TTL=2s",
// and without its HTTP server. Follow gets each line of its log, in order, from a
// goroutine of the worker's own; nil leaves the log in a file, which nobody reads.
func (r *Rig) Start(name string, follow func(Line), settings ...string) (*Worker, error) {
	return r.start("worker", name, follow, settings)
}

// StartBuild runs a worker as [Rig.Start] does, of another build: that program in [Rig.Dir].
func (r *Rig) StartBuild(program, name string, follow func(Line), settings ...string) (*Worker, error) {
	return r.start(program, name, follow, settings)
}

// StartCrashing runs a worker as [Rig.Start] does, of the build that dies at the point
// that a setting CRASHPOINT names. [Rig.BuildCrashing] must have made it.
func (r *Rig) StartCrashing(name string, follow func(Line), settings ...string) (*Worker, error) {
	return r.start(filepath.Join("torture", "worker"), name, follow, settings)
}

func (r *Rig) start(program, name string, follow func(Line), settings []string) (*Worker, error) {
	cmd := exec.Command(filepath.Join(r.dir, program))
	cmd.Env = append([]string{
		"WORKER_ID=" + name, "DATABASE_URL=" + r.WorkerURL(), "REDIS_URL=" + r.Redis.URL(), "HTTP_ADDR=off",
	}, settings...)
	log, err := r.log(name, follow)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	_, ended, err := servers.Spawn(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	w := &Worker{Name: name, cmd: cmd, ended: ended}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.workers = append(slices.DeleteFunc(r.workers, (*Worker).dead), w)
	return w, nil
}

// log is what a worker writes its log to.
func (r *Rig) log(name string, follow func(Line)) (*os.File, error) {
	if follow == nil {
		return os.Create(filepath.Join(r.dir, name+".log"))
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer out.Close()
		Follow(name, out, follow)
	}()
	return in, nil
}

// Follow reads the log of the worker with that name to its end, and gives each line to
// follow.
func Follow(name string, log io.Reader, follow func(Line)) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		follow(parse(name, lines.Bytes()))
	}
}

// PID is the process of the worker.
func (w *Worker) PID() int { return w.cmd.Process.Pid }

// Ended is closed once the worker is gone, however that came about.
func (w *Worker) Ended() <-chan struct{} { return w.ended }

// ExitCode is the code with which the worker has ended, or -1 if it was killed. The
// worker must have ended.
func (w *Worker) ExitCode() int { return w.cmd.ProcessState.ExitCode() }

// Kill ends the worker by SIGKILL. It returns when that was sent, once the process
// is gone; its last lines may still be on their way to follow.
func (w *Worker) Kill() time.Time {
	at := time.Now()
	_ = w.cmd.Process.Kill()
	<-w.ended
	return at
}

// Signal sends that signal to the worker: SIGSTOP freezes it, SIGCONT ends that.
func (w *Worker) Signal(sig syscall.Signal) error { return w.cmd.Process.Signal(sig) }

// Stop ends the worker by SIGTERM, and kills it where that takes too long.
func (w *Worker) Stop() {
	_ = w.Signal(syscall.SIGTERM)
	select {
	case <-w.ended:
	case <-time.After(stopWithin):
		w.Kill()
	}
}

func (w *Worker) dead() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}
