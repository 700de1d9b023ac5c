package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed BENCHMARKS.md.tmpl
var pageText string

var page = template.Must(template.New("BENCHMARKS.md").Parse(pageText))

// The README's table stands between these lines.
const (
	readmeBegin = "<!-- written by scripts/bench: begin -->\n"
	readmeEnd   = "<!-- written by scripts/bench: end -->\n"
)

// publish writes BENCHMARKS.md, the plots and the README's table from a file that --json
// has written. Nobody types a figure.
func publish(ctx context.Context, file string) error {
	r, err := load(file)
	if err != nil {
		return err
	}
	top, err := topOfModule(ctx)
	if err != nil {
		return err
	}
	r.File = filepath.Base(file)
	if err := r.draw(ctx, filepath.Dir(file)); err != nil {
		return err
	}
	var text strings.Builder
	if err := page.Execute(&text, r); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(top, "scripts", "bench", "BENCHMARKS.md"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return r.intoReadme(filepath.Join(top, "README.md"))
}

// intoReadme replaces the README's part, or prints it where the README has no place for it.
func (r *report) intoReadme(file string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, found := replaceBetween(string(old), readmeBegin, readmeEnd, r.Headline())
	if !found {
		say("README.md has no lines to write this between:\n\n%s%s%s", readmeBegin, r.Headline(), readmeEnd)
		return nil
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func load(file string) (*report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// replaceBetween puts other text between two lines, if they are there.
func replaceBetween(text, begin, end, instead string) (replaced string, found bool) {
	before, rest, begins := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	return before + begin + instead + end + after, begins && ends
}

// Where says what was run, when and on which machine.
func (r *report) Where() string {
	m := r.Machine
	return fmt.Sprintf("On %s, by `%s`, in %.0f minutes, on one machine with everything on it: %d cores, %s, %s; %s, Redis %s with AOF %s, PostgreSQL %s with fsync %s.",
		r.Began.Format("2006-01-02"), r.Command, r.Seconds/60, m.Cores, m.CPU, m.System, m.Go, m.Redis, m.RedisSync, m.Postgres, m.PostgresSync)
}

// Headline is the README's part.
func (r *report) Headline() string {
	t := &table{head: []string{"", "measured", "goal"}}
	for _, f := range r.figures() {
		goal := f.goal
		if f.verdict() == "MISSED" {
			goal += ": **missed**"
		}
		t.add(f.name, f.measured, goal)
	}
	return "\n" + r.Where() + "\n\n" + r.throughputOf([]int{1, 256, 1024}).String() + "\n" + t.String() + "\n"
}
