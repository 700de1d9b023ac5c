package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// A probe is a fault that must notice a mechanism that is missing: a test of a package, or
// a run of chaos with some faults.
type probe struct {
	pkg, test string
	faults    string // as chaos takes them
}

func test(pkg, name string) probe { return probe{pkg: pkg, test: name} }
func chaos(faults string) probe   { return probe{faults: faults} }

func (p probe) String() string {
	if p.faults != "" {
		return "chaos --faults " + p.faults
	}
	return p.test
}

// run returns what the probe finds, or "" if it finds nothing.
func (p probe) run(ctx context.Context, env []string) (found string, err error) {
	args, complaint := []string{"test", "-count=1", "-run", "^" + p.test + "$", "./" + p.pkg}, testsComplaint
	if p.faults != "" {
		args = []string{"run", "./scripts/chaos", "--duration", "20s", "--slack", "2s", "--json", "-", "--faults", p.faults}
		complaint = chaosComplaint
	}
	out, err := command(ctx, env, "go", args...).Output()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil:
		return "", nil
	case !errors.As(err, &failed):
		return "", err
	}
	if found = complaint(out); found == "" {
		return "", fmt.Errorf("%v: %w: %w\n%s", p, errShowsNothing, err, failed.Stderr)
	}
	return found, nil
}

// errShowsNothing means that a run failed for no reason that speaks against the build.
var errShowsNothing = errors.New("it failed, and found nothing")

var complaints = regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: (.+)$`)

// testsComplaint is the first thing that a test said when it failed.
func testsComplaint(out []byte) string {
	m := complaints.FindSubmatch(out)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(string(m[1]))
}

// chaosComplaint is what is broken by a verdict. That a run shows too little is bad as
// well, but shows nothing about the build.
func chaosComplaint(out []byte) string {
	var report struct {
		Verdict struct {
			Reasons []string `json:"reasons"`
		} `json:"verdict"`
	}
	if json.Unmarshal(out, &report) != nil {
		return ""
	}
	return strings.Join(slices.DeleteFunc(report.Verdict.Reasons, func(reason string) bool {
		return strings.HasPrefix(reason, "unknown")
	}), "; ")
}
