package main

import (
	"slices"
	"strings"
	"testing"
)

// What makes a schedule again asks for the same run.
func TestCommand(t *testing.T) {
	t.Parallel()
	given := []string{"--redis-url", "redis://there", "--database-url", "postgres://there"}
	for _, args := range [][]string{
		{"--seed", "7"},
		{"--seed", "7", "--floor", "20", "--rate", "30", "--slack", "3s", "--defaults"},
		{"--seed", "7", "--crowd"},
		{"--seed", "7", "--faults", "worker,!kill"},
		append([]string{"--seed", "7"}, given...),
		append([]string{"--seed", "7", "--faults", "all,forgetful"}, given...),
	} {
		o, _, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		again := strings.Fields(o.command())[3:]
		if o.site.redisURL != "" {
			again = append(again[:len(again)-4], given...)
		}
		o2, _, err := parse(again)
		if err != nil || o2.command() != o.command() || o2.floor != o.floor || !slices.Equal(o2.faults, o.faults) {
			t.Errorf("%q is again %q, %v", o.command(), o2.command(), err)
		}
	}
}

// What somebody else's Redis holds is not ours to lose.
func TestParse_sparesWhatIsGiven(t *testing.T) {
	t.Parallel()
	tests := []struct {
		list  string
		given bool
		flush bool
	}{
		{"all", false, true},
		{"all", true, false},
		{"redis", true, false},
		{"!kill", true, false},
		{"all,!forgetful", true, false},
		{"all, forgetful", true, true},
		{"redis-flush", true, true},
	}
	for _, tt := range tests {
		args := []string{"--faults", tt.list}
		if tt.given {
			args = append(args, "--redis-url", "redis://there", "--database-url", "postgres://there")
		}
		o, _, err := parse(args)
		got := slices.ContainsFunc(o.faults, func(f *fault) bool { return f.name == "redis-flush" })
		if err != nil || got != tt.flush {
			t.Errorf("given %v, %q flushes Redis: %v, %v; want %v", tt.given, tt.list, got, err, tt.flush)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--rate 49", "--duration 0s", "--rate -1 --floor -2", "--defaults --crowd", "--redis-url redis://there", "--faults nonsense", "now"} {
		if _, _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
