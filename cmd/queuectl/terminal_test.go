package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/term"
)

// terminal is one on which a program runs.
type terminal struct {
	tb     testing.TB
	person *os.File // who looks and types
	tty    *os.File // the program's
	before *term.State
	cmd    *exec.Cmd
	ended  chan struct{} // closed once it has

	mu   sync.Mutex
	seen bytes.Buffer // since the last key
}

// theTerminal is the key of a place for a script's terminal.
const theTerminal = "terminal"

func terminalOf(ts *testscript.TestScript) *terminal { return *ts.Value(theTerminal).(**terminal) }

// onTerminal is "onterminal <width>x<height> queuectl <args>": start it, and let the next
// commands look and type.
func onTerminal(ts *testscript.TestScript, _ bool, args []string) {
	self, err := os.Executable()
	ts.Check(err)
	person, tty, err := pty.Open()
	ts.Check(err)
	t := &terminal{tb: testOf(ts), person: person, tty: tty, ended: make(chan struct{})}
	t.cmd = &exec.Cmd{Path: self, Args: args[1:]}
	t.resize(ts, args[0])
	t.before, err = term.GetState(int(tty.Fd()))
	ts.Check(err)
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = tty, tty, tty
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	t.cmd.Env = []string{"TERM=xterm-256color", "USER=operator"}
	for _, name := range []string{"REDIS_URL", "QUEUE_NAME", "DATABASE_URL", "GORACE", "NO_COLOR"} {
		t.cmd.Env = append(t.cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(t.cmd.Start())
	go func() {
		_ = t.cmd.Wait()
		close(t.ended)
	}()
	go t.look()
	ts.Defer(func() {
		_ = t.cmd.Process.Kill()
		<-t.ended
		_, _ = tty.Close(), person.Close()
	})
	*ts.Value(theTerminal).(**terminal) = t
}

func (t *terminal) resize(ts *testscript.TestScript, size string) {
	var s pty.Winsize
	_, err := fmt.Sscanf(size, "%dx%d", &s.Cols, &s.Rows)
	ts.Check(err)
	ts.Check(pty.Setsize(t.person, &s))
}

// look takes down what the program writes.
func (t *terminal) look() {
	piece := make([]byte, 1<<16)
	for {
		n, err := t.person.Read(piece)
		if err != nil {
			return
		}
		t.mu.Lock()
		t.seen.Write(piece[:n])
		t.mu.Unlock()
	}
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// sees is "sees <pattern>": wait until the screen shows it. The program draws only what
// changes, and is asked for the whole.
func sees(ts *testscript.TestScript, _ bool, args []string) {
	t := terminalOf(ts)
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	asked := time.Time{}
	defer func() {
		if t.tb.Failed() {
			ts.Logf("the terminal: %q", t.text())
		}
	}()
	testenv.Eventually(t.tb, 20*time.Second, "to be seen: "+args[0], func() bool {
		if time.Since(asked) > 500*time.Millisecond {
			_, err := t.person.WriteString("\f")
			ts.Check(err)
			asked = time.Now()
		}
		return pattern.MatchString(ansi.Strip(t.text()))
	})
}

// types is "types <keys>", with \x03 for ctrl+c and so on.
func types(ts *testscript.TestScript, _ bool, args []string) {
	keys, err := strconv.Unquote(`"` + args[0] + `"`)
	ts.Check(err)
	t := terminalOf(ts)
	t.mu.Lock()
	t.seen.Reset()
	t.mu.Unlock()
	_, err = t.person.WriteString(keys)
	ts.Check(err)
}

// resizes is "resizes <width>x<height>".
func resizes(ts *testscript.TestScript, _ bool, args []string) {
	terminalOf(ts).resize(ts, args[0])
}

// terminates is "terminates": send SIGTERM.
func terminates(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(terminalOf(ts).cmd.Process.Signal(syscall.SIGTERM))
}

// ends is "ends <code>": the program ends with that code, and leaves the terminal as it was.
func ends(ts *testscript.TestScript, _ bool, args []string) {
	t := terminalOf(ts)
	testenv.Eventually(t.tb, 20*time.Second, "at its end", func() bool {
		select {
		case <-t.ended:
			return true
		default:
			return false
		}
	})
	if got := strconv.Itoa(t.cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("it exits %s, want %s: %q", got, args[0], t.text())
	}
	after, err := term.GetState(int(t.tty.Fd()))
	ts.Check(err)
	if !reflect.DeepEqual(after, t.before) {
		ts.Fatalf("the terminal's modes are others than before")
	}
}

// colourful is "[!] colourful": whether there was any colour since the last key.
func colourful(ts *testscript.TestScript, neg bool, _ []string) {
	got := regexp.MustCompile(`\x1b\[([0-9;]*;)?(3[0-7]|9[0-7])[;m]`).MatchString(terminalOf(ts).text())
	if got == neg {
		ts.Fatalf("colours: %v", got)
	}
}
