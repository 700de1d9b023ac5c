package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// What a control changes stands in the sources, once; its probe exists.
func TestControls(t *testing.T) {
	t.Chdir("../..")
	seen := map[string]bool{}
	for _, c := range controls {
		if seen[c.name] {
			t.Errorf("two controls are called %s", c.name)
		}
		seen[c.name] = true
		text, err := c.broken()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if strings.Contains(text, c.old) && !strings.Contains(c.new, c.old) {
			t.Errorf("%s changes nothing", c.name)
		}
		if c.probe.test != "" && !exists(t, c.probe) {
			t.Errorf("%s: %s has no %s", c.name, c.probe.pkg, c.probe.test)
		}
	}
}

func exists(t *testing.T, p probe) bool {
	t.Helper()
	files, err := os.ReadDir(p.pkg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile(p.pkg + "/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("\nfunc "+p.test+"(")) {
			return true
		}
	}
	return false
}

// What a probe says is read out of what it prints.
func TestComplaints(t *testing.T) {
	tests := []struct {
		name      string
		complaint func([]byte) string
		out, want string
	}{
		{"a test", testsComplaint, "--- FAIL: TestX (0.00s)\n    x_test.go:7: two are at it\n    x_test.go:8: more\nFAIL\n", "two are at it"},
		{"a test that says nothing", testsComplaint, "panic: x\n", ""},
		{"chaos", chaosComplaint, `{"verdict": {"good": false, "reasons": ["lost 1", "left over 2"]}}`, "lost 1; left over 2"},
		{"chaos that shows too little", chaosComplaint, `{"verdict": {"reasons": ["unknown: 3 orders/s before the faults"]}}`, ""},
		{"chaos that could not run", chaosComplaint, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.complaint([]byte(tt.out)); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRun_usage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want int
		says string
	}{
		{"a list", []string{"--list"}, 0, "fencing-token"},
		{"a list of one", []string{"--list", "reaper"}, 0, "the reaper"},
		{"no such control", []string{"coffee"}, 2, `no control "coffee"`},
		{"no such flag", []string{"--fast"}, 2, "usage"},
		{"help", []string{"-h"}, 0, "usage"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var said bytes.Buffer
			if code := run(t.Context(), tt.args, &said, &said); code != tt.want || !strings.Contains(said.String(), tt.says) {
				t.Errorf("exit code %d and %q, want %d and %q", code, said.String(), tt.want, tt.says)
			}
		})
	}
}
