package servers

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// signalled is how long a signal may take to have its effect; a process that
// waits for its disk takes one late.
const signalled = 10 * time.Second

// child is a process of ours. Its own children count as part of it: they are
// looked up in /proc, for those of PostgreSQL leave the process group.
type child struct {
	process *os.Process
	ended   <-chan struct{} // closed once it is dead and buried
	release func()          // calls off the guard of a stopped child; nil where none stands
}

// Spawn starts cmd so that the kernel kills it when this process dies, and keeps a
// terminal's ^C from it: its owner stops it. Linux kills when the starting *thread* ends:
// the goroutine keeps its own until the child is dead. ended is closed once it is dead and
// buried.
func Spawn(cmd *exec.Cmd) (process *os.Process, ended <-chan struct{}, err error) {
	attach(cmd)
	started, buried := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(buried)
		}
	}()
	err = <-started
	return cmd.Process, buried, err
}

// attach ties the life of cmd to the thread that starts it.
func attach(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}

func spawn(cmd *exec.Cmd) (*child, error) {
	process, ended, err := Spawn(cmd)
	return &child{process: process, ended: ended}, err
}

func (c *child) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// end asks the child to go by sig, and kills it where it does not.
func (c *child) end(sig syscall.Signal) {
	if !c.alive() {
		return
	}
	c.resume()
	_ = c.process.Signal(sig)
	if !poll(signalled, func() bool { return !c.alive() }) {
		c.kill()
	}
}

// kill ends the child and its children at once, and waits until they are gone.
func (c *child) kill() {
	if !c.alive() {
		return
	}
	kids := c.halt()
	for _, kid := range kids {
		_ = syscall.Kill(kid, syscall.SIGKILL)
	}
	_ = c.process.Kill()
	<-c.ended
	poll(signalled, func() bool { return all(kids, gone) })
	c.callOff()
}

// pause stops the child and its children.
func (c *child) pause() error {
	if !c.alive() {
		return errNotRunning
	}
	kids := c.halt()
	for _, pid := range append(kids, c.process.Pid) {
		if !halted(pid) {
			c.resume()
			return fmt.Errorf("process %d does not stop", pid)
		}
	}
	c.callOff()
	return c.guard(kids)
}

// halt sends SIGSTOP to the child, then to its children, which it returns: once
// stopped, it starts no further ones.
func (c *child) halt() []int {
	pid := c.process.Pid
	_ = c.process.Signal(syscall.SIGSTOP)
	poll(signalled, func() bool { return halted(pid) })
	kids := children(pid)
	for _, kid := range kids {
		_ = syscall.Kill(kid, syscall.SIGSTOP)
	}
	poll(signalled, func() bool { return all(kids, halted) })
	return kids
}

// resume lets the child and its children go on.
func (c *child) resume() {
	if !c.alive() {
		return
	}
	for _, kid := range children(c.process.Pid) {
		_ = syscall.Kill(kid, syscall.SIGCONT)
	}
	_ = c.process.Signal(syscall.SIGCONT)
	c.callOff()
}

// guard has the stopped children of the child killed if this process dies: the
// kernel does that to the child alone, and its children, which else would notice
// and go, are stopped.
func (c *child) guard(kids []int) error {
	if len(kids) == 0 {
		return nil
	}
	args := []string{"-c", `read -r _ || kill -KILL "$@"`, "guard"}
	for _, kid := range kids {
		args = append(args, strconv.Itoa(kid))
	}
	cmd := exec.Command("sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe() // ends when this process does
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.release = func() {
		_, _ = io.WriteString(in, "resumed\n")
		_ = cmd.Wait()
	}
	return nil
}

func (c *child) callOff() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// children lists the processes that pid has started itself.
func children(pid int) []int {
	var kids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		kid, err := strconv.Atoi(filepath.Base(dir))
		if _, parent := stat(kid); err == nil && parent == pid {
			kids = append(kids, kid)
		}
	}
	return kids
}

// stat reads a process's state, one letter, and its parent. The state of one that
// does not exist is "".
func stat(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // a name may hold anything
	parent, _ = strconv.Atoi(f[1])
	return f[0], parent
}

func gone(pid int) bool {
	state, _ := stat(pid)
	return state == "" || state == "Z" || state == "X" // init buries it in its own time
}

// halted counts the dead as well: they do not go on.
func halted(pid int) bool {
	state, _ := stat(pid)
	return state == "T" || gone(pid)
}

func all(pids []int, is func(int) bool) bool {
	for _, pid := range pids {
		if !is(pid) {
			return false
		}
	}
	return true
}
