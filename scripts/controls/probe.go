package main

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
)

// A probe is a fault that must notice a mechanism that is missing: a test of a package.
type probe struct {
	pkg  string
	test string
}

func (p probe) String() string { return p.test }

// firstComplaint finds what a test said when it failed.
var firstComplaint = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: (.+)$`)

// run returns what the probe finds, or "" if it finds nothing.
func (p probe) run(ctx context.Context, env []string) (found string, err error) {
	out, err := command(ctx, env, "go", "test", "-count=1", "-run", "^"+p.test+"$", "./"+p.pkg).CombinedOutput()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil:
		return "", nil
	case !errors.As(err, &failed):
		return "", err
	}
	if m := firstComplaint.FindSubmatch(out); m != nil {
		return strings.TrimSpace(string(m[1])), nil
	}
	return "it failed", nil
}
