package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/servers"
)

// plainQueue is the list that the plain loop of scripts/bench/peers consumes.
const plainQueue = "bench_plain"

// connections is how many a peer has to PostgreSQL; the worker has its own default.
const connections = 10

// peer is a process of scripts/bench/peers.
type peer struct {
	cmd   *exec.Cmd
	say   io.WriteCloser // its input; it ends when that does
	words chan string    // of its output; closed when that ends
	ended <-chan struct{}
	log   string // file of its complaints
}

// peersDir is a module of its own, below the top of this one.
var peersDir = filepath.Join("scripts", "bench", "peers")

func (b *bench) buildPeers(ctx context.Context) error {
	top, err := topOfModule(ctx)
	if err != nil {
		return err
	}
	_, err = goTool(ctx, filepath.Join(top, peersDir), "build", "-o", b.rig.Dir(), ".")
	return err
}

// topOfModule is the directory of this module's go.mod.
func topOfModule(ctx context.Context) (string, error) {
	return goTool(ctx, "", "list", "-m", "-f", "{{.Dir}}", "fulfillment-worker")
}

// goTool runs go in a directory.
func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, goEnvironment()
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, complaint.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// goEnvironment is as if nobody had set go up in any way.
func goEnvironment() []string {
	return append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
}

// where is on which servers a peer runs.
type where struct{ redis, database string }

func (b *bench) here() where { return where{b.rig.Redis.Addr(), b.rig.DatabaseURL()} }

// startPeer runs a peer and waits until it is ready to begin with its orders.
func (b *bench) startPeer(ctx context.Context, c cell, on where, first int64, args ...string) (*peer, error) {
	p := &peer{words: make(chan string, 10)}
	p.cmd = exec.Command(filepath.Join(b.rig.Dir(), "peers"), append(args,
		"-system", c.System, "-store", c.Store, "-in-hand", strconv.Itoa(max(1, c.InHand)),
		"-first", strconv.FormatInt(first, 10), "-orders", strconv.Itoa(c.Orders),
		"-connections", strconv.Itoa(connections), "-redis", on.redis, "-database", on.database)...)
	log, err := os.CreateTemp(b.rig.Dir(), c.System+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr, p.log = log, log.Name()
	if p.say, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p.cmd.Stdout = in
	if _, p.ended, err = servers.Spawn(p.cmd); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go p.listen(out)
	if err := p.await(ctx, "ready", patience); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func (p *peer) listen(out io.ReadCloser) {
	defer out.Close()
	defer close(p.words)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.words <- lines.Text()
	}
}

// await waits until the peer says that word.
func (p *peer) await(ctx context.Context, word string, within time.Duration) error {
	return p.hear(ctx, within, func(said string) bool { return said == word })
}

// hear gives each line that the peer says to enough, until that is true of one.
func (p *peer) hear(ctx context.Context, within time.Duration, enough func(said string) bool) error {
	limit := time.After(within)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("it does not say enough within %v%s", within, p.complaints())
		case said, open := <-p.words:
			if !open {
				return fmt.Errorf("it ended too early%s", p.complaints())
			}
			if enough(said) {
				return nil
			}
		}
	}
}

func (p *peer) complaints() string {
	const most = 1000
	text, _ := os.ReadFile(p.log)
	if len(text) == 0 {
		return ""
	}
	return "; it says:\n" + strings.TrimSpace(string(text[:min(most, len(text))]))
}

func (p *peer) begin(context.Context) error {
	_, err := io.WriteString(p.say, "go\n")
	return err
}

// stop ends the peer. What its last orders have to tell the servers takes a moment; some
// libraries would stay for seconds.
func (p *peer) stop() {
	_ = p.say.Close()
	select {
	case <-p.ended:
	case <-time.After(300 * time.Millisecond):
		p.kill()
	}
}

func (p *peer) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (b *bench) openPeer(ctx context.Context, c cell, first int64) (*running, error) {
	p, err := b.startPeer(ctx, c, b.here(), first)
	if err != nil {
		return nil, err
	}
	return &running{
		pids:    []int{p.cmd.Process.Pid},
		release: p.begin,
		drained: func(ctx context.Context) error { return p.await(ctx, "done", cellPatience) },
		stop:    p.stop,
	}, nil
}
