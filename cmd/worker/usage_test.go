package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"fulfillment-worker/internal/config"
)

// call runs the program with those arguments and settings, as in "LEASE_TTL=2s".
func call(args []string, settings ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	getenv := func(name string) string {
		for _, s := range settings {
			if value, ok := strings.CutPrefix(s, name+"="); ok {
				return value
			}
		}
		return ""
	}
	code = run(args, getenv, &out, &errs)
	return code, out.String(), errs.String()
}

func TestUsage_wrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"an unknown flag", []string{"-x"}, "flag provided but not defined: -x"},
		{"a setting as a flag", []string{"-lease-ttl=5s"}, "flag provided but not defined"},
		{"a flag with a value that it does not take", []string{"-version=maybe"}, "invalid boolean value"},
		{"an argument", []string{"run"}, ""},
		{"an argument behind a flag", []string{"-version", "now"}, ""},
		{"an argument behind two dashes", []string{"--", "-version"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := call(tt.args)
			if code != 2 || stdout != "" {
				t.Errorf("exit %d and %q, want 2 and nothing on standard output", code, stdout)
			}
			if !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "Usage:") {
				t.Errorf("it says %q, want %q and the usage", stderr, tt.says)
			}
		})
	}
}

func TestUsage_listsEverySetting(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-h", "-help", "--help"} {
		code, stdout, stderr := call([]string{flag})
		if code != 0 {
			t.Errorf("worker %s: exit %d, want 0", flag, code)
		}
		help := stdout + stderr
		for _, s := range config.Settings {
			found := false
			for line := range strings.Lines(help) {
				words := strings.Fields(line)
				found = found || len(words) > 0 && words[0] == s.Name && strings.HasSuffix(strings.TrimSpace(line), s.Doc) &&
					(s.Default == "" || words[1] == s.Default)
			}
			if !found {
				t.Errorf("worker %s does not list %s with its default and what it is", flag, s.Name)
			}
		}
		for _, word := range []string{"-healthcheck", "-version"} {
			if !strings.Contains(help, "worker "+word) {
				t.Errorf("worker %s does not tell of %s", flag, word)
			}
		}
		for line := range strings.Lines(help) {
			if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("worker %s: blanks at the end of %q", flag, line)
			}
		}
	}
}

func TestUsage_version(t *testing.T) {
	t.Parallel()
	tests := []struct{ setting, says string }{
		{"LEASE_TTL=7s", "LEASE_TTL"},
		{"LEASE_TTL=wrong", "\nwrong settings:\nLEASE_TTL: "},
		{"POSTGRES_PASSWORD=S3cretCanary", "[secret]"},
	}
	for _, tt := range tests {
		code, stdout, stderr := call([]string{"-version"}, tt.setting)
		first, _, _ := strings.Cut(stdout, "\n")
		if want := "fulfillment-worker " + version; code != 0 || first != want || stderr != "" {
			t.Errorf("exit %d, %q, %q, want 0 and %q", code, stdout, stderr, want)
		}
		if !strings.Contains(stdout, tt.says) || strings.Contains(stdout, "S3cretCanary") {
			t.Errorf("with %s it says %s", tt.setting, stdout)
		}
	}
}

func TestRun_refusesWrongSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		settings []string
		says     []string // in the error
	}{
		{"one", []string{"LEASE_TTL=1"}, []string{"LEASE_TTL: ", "it takes 1s to 10m"}},
		{
			"several",
			[]string{"LEASE_TTL=x", "WORKER_CONCURRENCY=0", "QUEUE_NAME=a b", "LOG_LEVEL=loud", "HTTP_ADDR=8080"},
			[]string{"LEASE_TTL: ", "WORKER_CONCURRENCY: ", "QUEUE_NAME: ", "LOG_LEVEL: ", "HTTP_ADDR: "},
		},
		{"some that do not fit each other", []string{"PROCESSING_MIN=3s", "REDIS_MODE=sentinel"}, []string{"PROCESSING_MIN: ", "REDIS_SENTINEL_MASTER: "}},
		{"a URL with a secret in it", []string{"DATABASE_URL=postgres://u:canary@h:x/d", "REDIS_URL=x://:canary@h"}, []string{"DATABASE_URL: ", "REDIS_URL: "}},
		{"while hardly anything is logged", []string{"LOG_LEVEL=error", "MAX_DELIVERIES=0"}, []string{"MAX_DELIVERIES: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{nil, {"-healthcheck"}} {
				code, stdout, stderr := call(args, tt.settings...)
				if code != 1 || strings.Count(stdout, "\n") != 1 || !strings.HasSuffix(stdout, "\n") || stderr != "" {
					t.Errorf("worker %q: exit %d, %q, %q, want 1 and one line on standard output", args, code, stdout, stderr)
				}
				var line struct{ Level, Service, Message, Error string }
				if err := json.Unmarshal([]byte(stdout), &line); err != nil {
					t.Fatalf("%v: %s", err, stdout)
				}
				if line.Level != "error" || line.Service != "fulfillment-worker" || line.Message == "" {
					t.Errorf("the line is %s", stdout)
				}
				for _, text := range tt.says {
					if !strings.Contains(line.Error, text) {
						t.Errorf("the error is %q, want it to say %q", line.Error, text)
					}
				}
				if strings.Contains(stdout, "canary") {
					t.Errorf("a secret shows: %s", stdout)
				}
			}
		})
	}
}

func TestRun_asksForHealth(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, addr string) (int, string) {
		t.Helper()
		code, stdout, stderr := call([]string{"-healthcheck"}, "HTTP_ADDR="+addr)
		if stdout != "" {
			t.Errorf("%q on standard output, want nothing", stdout)
		}
		return code, stderr
	}
	listen := func(t *testing.T) net.Listener {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	serve := func(t *testing.T, code int, body string) (addr string) { // not httptest: that closes others' connections
		t.Helper()
		l := listen(t)
		s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				t.Errorf("it asks for %s", r.URL.Path)
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		})}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
		return l.Addr().String()
	}
	t.Run("a worker that lives", func(t *testing.T) {
		t.Parallel()
		if code, said := ask(t, serve(t, 200, "ok\n")); code != 0 || said != "" {
			t.Errorf("exit %d, %q, want 0 and nothing", code, said)
		}
	})
	t.Run("a worker that listens on every address", func(t *testing.T) {
		t.Parallel()
		_, port, err := net.SplitHostPort(serve(t, 200, "ok\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"", "0.0.0.0"} {
			if code, said := ask(t, host+":"+port); code != 0 {
				t.Errorf("host %q: exit %d, %q, want 0", host, code, said)
			}
		}
	})
	t.Run("a worker that is stuck", func(t *testing.T) {
		t.Parallel()
		if code, said := ask(t, serve(t, 503, "consumer: stuck\n")); code != 1 || said != "consumer: stuck\n" {
			t.Errorf("exit %d, %q, want 1 and what is wrong", code, said)
		}
	})
	t.Run("no worker", func(t *testing.T) {
		t.Parallel()
		l := listen(t)
		_ = l.Close()
		if code, said := ask(t, l.Addr().String()); code != 1 || said == "" {
			t.Errorf("exit %d, %q, want 1 and why", code, said)
		}
	})
	t.Run("a worker that serves no HTTP", func(t *testing.T) {
		t.Parallel()
		if code, said := ask(t, "off"); code != 0 || said != "" {
			t.Errorf("exit %d, %q, want 0 and nothing", code, said)
		}
	})
}
