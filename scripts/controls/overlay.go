package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A control is the worker with one mechanism taken out.
type control struct {
	name    string
	without string // what is taken out, in words
	file    string // in which, from the top of the module
	old     string // stands there once
	new     string // stands there instead
	probe   probe  // must notice
}

// broken is the text of the control's file without the mechanism.
func (c control) broken() (string, error) {
	source, err := os.ReadFile(c.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), c.old); n != 1 {
		return "", fmt.Errorf("%s: %q stands there %d times, want once", c.file, c.old, n)
	}
	return strings.Replace(string(source), c.old, c.new, 1), nil
}

// under calls f with the environment in which go compiles the worker without the
// mechanism.
func (c control) under(f func(env []string) error) error {
	dir, err := os.MkdirTemp("", "controls-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env, err := c.overlay(dir)
	if err != nil {
		return err
	}
	return f(env)
}

// build fails if the worker does not build without the mechanism: anything would "catch"
// that.
func (c control) build(ctx context.Context) error {
	return c.under(func(env []string) error {
		out, err := command(ctx, env, "go", "build", "-o", os.DevNull, "./cmd/worker").CombinedOutput()
		if err != nil {
			return fmt.Errorf("without %s it does not build: %w\n%s", c.without, err, out)
		}
		return nil
	})
}

// try probes the worker without the mechanism until that is caught, at most as often as
// it may be. Found is what the probe found, "" for nothing.
func (c control) try(ctx context.Context) (found string, tries int, err error) {
	err = c.under(func(env []string) error {
		for found == "" && err == nil && tries < runs {
			found, err = c.probe.run(ctx, env)
			tries++
			if errors.Is(err, errShowsNothing) && tries < runs {
				err = nil // the next run may
			}
		}
		return err
	})
	return found, tries, err
}

// overlay writes the broken file into dir and returns the environment in which go
// compiles it instead of the sound one, also in the programs that the probe builds.
func (c control) overlay(dir string) (env []string, err error) {
	source, err := c.broken()
	if err != nil {
		return nil, err
	}
	instead := filepath.Join(dir, filepath.Base(c.file))
	if err := os.WriteFile(instead, []byte(source), 0o600); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(c.file)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: instead}})
	if err != nil {
		return nil, err
	}
	list := filepath.Join(dir, "overlay.json")
	return []string{"GOFLAGS=-overlay=" + list}, os.WriteFile(list, text, 0o600)
}

func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go starts children of its own
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second // for what they have to clean up
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
