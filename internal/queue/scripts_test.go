package queue_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestScriptHeaders keeps the header of every script true: what it declares is what
// the body reads, and it says what it returns and why it is safe.
func TestScriptHeaders(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("lua/*.lua")
	must(t, err)
	elsewhere, err := filepath.Glob("../*/*.lua")
	must(t, err)
	if len(files) == 0 || len(elsewhere) == 0 {
		t.Fatal("no scripts found")
	}
	files = append(files, elsewhere...)
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(file)
			must(t, err)
			for _, fault := range headerFaults(name, string(source)) {
				t.Error(fault)
			}
		})
	}
}

var (
	// a parameter's line: number, name, type, meaning, and for a key what is done to it
	parameter = regexp.MustCompile(`^-- (KEYS|ARGV)\[(\d+|i(?: \+ \d+)?)\] {2,6}([a-z_]+) +(list|zset|hash|set|stream|string|int|float) +(\S.*)$`)
	keyUse    = regexp.MustCompile(`  ?\((read|written|appended|drained|removed)\)$`)
	used      = regexp.MustCompile(`(?:KEYS|ARGV)\[(?:\d+|[^\]]*)\]|#KEYS|#ARGV|unpack\((?:KEYS|ARGV)`)
	comment   = regexp.MustCompile(`(?m)--.*$`)
	loop      = regexp.MustCompile(`\b(?:while|for|repeat)\b`)
	returns   = regexp.MustCompile(`^-- Returns  (?:int|array|string)  \S`)
)

// headerFaults says what is wrong with a script's header.
func headerFaults(name, source string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	lines := strings.Split(source, "\n")
	flags, readOnly := strings.CutSuffix(lines[0], ",no-writes")
	if flags != "#!lua flags=allow-oom" {
		fault("the first line is %q, want #!lua flags=allow-oom: a full Redis must still let go of messages", lines[0])
	}
	lines = lines[1:]
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "-- "+name+": ") {
		fault("the second line does not begin with %q", "-- "+name+": ")
	}
	header := lines
	if n := slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "--") }); n >= 0 {
		header = lines[:n]
	}
	body := comment.ReplaceAllString(strings.Join(lines[len(header):], "\n"), "")

	var declared []string
	count, repeated := map[string]int{}, map[string]int{}
	for _, line := range header {
		m := parameter.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "-- KEYS") || strings.HasPrefix(line, "-- ARGV") {
				fault("%q is no declaration: number, name, type and meaning, with two blanks between", line)
			}
			continue
		}
		kind, number, variable, meaning := m[1], m[2], m[3], m[5]
		declared = append(declared, kind+"["+number+"]")
		if strings.HasPrefix(number, "i") { // as many more as there are
			if repeated[kind]++; number != strings.TrimSuffix(fmt.Sprintf("i + %d", repeated[kind]-1), " + 0") {
				fault("%s[%s] stands where the %d. of each group belongs", kind, number, repeated[kind])
			}
			if repeated[kind] == 1 {
				declared = append(declared, "#"+kind)
			}
		} else if count[kind]++; fmt.Sprint(count[kind]) != number || repeated[kind] > 0 {
			fault("%s[%s] stands where number %d belongs", kind, number, count[kind])
		}
		if (kind == "KEYS") != keyUse.MatchString(meaning) {
			fault("%s[%s]: what is done to a key, and only to a key, stands at the end in brackets", kind, number)
		}
		if kind == "KEYS" && readOnly && !strings.HasSuffix(meaning, "(read)") {
			fault("%s[%s] is changed by a script that says it changes nothing", kind, number)
		}
		if !regexp.MustCompile(`\b`+variable+`\b`).MatchString(body) && variable != "error" {
			fault("%s[%s] is called %s, and nothing in the body is", kind, number, variable)
		}
	}
	read := used.FindAllString(body, -1)
	slices.Sort(declared)
	slices.Sort(read)
	if twice := len(read) != len(slices.Compact(slices.Clone(read))); twice {
		fault("the body spells a number of KEYS or ARGV twice: name it once")
	}
	if read = slices.Compact(read); !slices.Equal(read, declared) {
		fault("the header declares %v, the body reads %v", declared, read)
	}

	// What the header must say, in this order.
	loops, last := loop.MatchString(body), -1
	for _, word := range []string{"Returns", "Atomic:", "Bounded:", "Repeatable:"} {
		at := slices.IndexFunc(header, func(l string) bool { return strings.HasPrefix(l, "-- "+word) })
		switch {
		case word == "Bounded:" && !loops && at >= 0:
			fault("the header says Bounded:, and nothing in the body loops")
		case at < 0 && (word != "Bounded:" || loops):
			fault("the header has no line %q", word)
		case at >= 0 && at < last:
			fault("the line %q stands too early", word)
		case word == "Returns" && !returns.MatchString(header[at]):
			fault("%q does not say a type and a meaning", header[at])
		}
		last = max(last, at)
	}
	return faults
}

// The check itself, on headers that are wrong in one way each.
func TestScriptHeaders_seesWhatIsWrong(t *testing.T) {
	t.Parallel()
	right := strings.Join([]string{
		"#!lua flags=allow-oom",
		"-- move.lua: move what is there.",
		"--",
		"-- KEYS[1]  queue  list  waiting messages  (drained)",
		"-- ARGV[1]  limit  int  most messages to move",
		"--",
		"-- Returns  int  how many messages moved",
		"--",
		"-- Atomic: each moves in one step.",
		"-- Bounded: at most limit moves.",
		"-- Repeatable: a second run moves nothing.",
		"",
		"local queue, limit = KEYS[1], tonumber(ARGV[1])",
		"for _ = 1, limit do redis.call('LPOP', queue) end -- ARGV[9]",
		"return limit",
		"",
	}, "\n")
	tests := []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"no flags", "#!lua flags=allow-oom", "#!lua", "the first line"},
		{"no first line", "#!lua flags=allow-oom\n", "", "the first line"},
		{"a change by who says that he makes none", "allow-oom", "allow-oom,no-writes", "KEYS[1] is changed"},
		{"another script's name", "-- move.lua:", "-- mov.lua:", "the second line"},
		{"a number that the body does not read", "ARGV[1]  limit", "ARGV[2]  limit", "ARGV[2] stands where number 1 belongs"},
		{"a key that is not declared", "'LPOP', queue", "'LPOP', KEYS[2]", "the header declares"},
		{"a number of two digits that is not declared", "'LPOP', queue", "'LPOP', ARGV[10]", "the header declares"},
		{"a number that is worked out", "'LPOP', queue", "'LPOP', KEYS[limit]", "the header declares"},
		{"a group out of order", "--\n-- Returns", "-- ARGV[i + 1]  name  string  of it\n--\n-- Returns", "of each group belongs"},
		{"a number behind a group", "-- ARGV[1]", "-- ARGV[i]  name  string  of it\n-- ARGV[1]", "stands where number"},
		{"all arguments at once", "return limit", "return #ARGV", "the header declares"},
		{"a number that is spelt twice", "return limit", "return ARGV[1]", "twice"},
		{"no type", "limit  int  most", "limit  most", "no declaration"},
		{"no use of a key", "  (drained)", "", "what is done to a key"},
		{"another name", "KEYS[1]  queue", "KEYS[1]  list", "nothing in the body is"},
		{"no result", "-- Returns  int  how many messages moved\n", "--\n", `no line "Returns"`},
		{"a result without a type", "Returns  int  how", "Returns how", "does not say a type"},
		{"nothing about what is atomic", "-- Atomic: each", "-- Each", `no line "Atomic:"`},
		{"a loop without a bound", "-- Bounded: at", "-- At", `no line "Bounded:"`},
		{"a bound without a loop", "for _ = 1, limit do redis.call('LPOP', queue) end", "redis.call('LPOP', queue, limit)", "nothing in the body loops"},
		{"nothing about a second run", "-- Repeatable: a", "-- A", `no line "Repeatable:"`},
		{"another order", "-- Atomic: each moves in one step.\n-- Bounded: at most limit moves.", "-- Bounded: at most limit moves.\n-- Atomic: each moves in one step.", "too early"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			faults := headerFaults("move.lua", strings.Replace(right, tt.old, tt.new, 1))
			if got := strings.Join(faults, "\n"); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("the faults are %q, want one with %q", faults, tt.want)
			}
		})
	}
}

// A script is read where it is used: none is left over, none is shared.
func TestScripts_areEachEmbeddedOnce(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("lua/*")
	must(t, err)
	sources, err := filepath.Glob("*.go")
	must(t, err)
	var all strings.Builder
	for _, file := range sources {
		source, err := os.ReadFile(file)
		must(t, err)
		all.Write(source)
	}
	for _, script := range scripts {
		if n := strings.Count(all.String(), "//go:embed "+script+"\n"); n != 1 {
			t.Errorf("%s is embedded %d times, want once", script, n)
		}
	}
}
