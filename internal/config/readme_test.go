package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fulfillment-worker/internal/config"
)

// row is a setting's line in the README's table.
func row(s config.Setting) string {
	value := "–"
	if s.Default != "" {
		value = "`" + s.Default + "`"
	}
	doc := s.Doc
	if s.Accepts != "" {
		doc += "; " + s.Accepts
	}
	return fmt.Sprintf("| `%s` | %s | %s |", s.Name, value, doc)
}

func TestREADME_hasEverySetting(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Error(err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(readme)) {
		lines[strings.TrimSpace(line)] = true
	}
	table := "| variable | default | |\n|---|---|---|\n"
	for _, s := range config.Settings {
		table += row(s) + "\n"
		if !lines[row(s)] {
			t.Errorf("README.md has no line %s", row(s))
		}
	}
	if t.Failed() {
		t.Logf("the whole table:\n%s", table)
	}
}
