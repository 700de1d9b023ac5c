package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What people read, the page included, names only commands that there are.
func TestDocs_nameCommandsThatExist(t *testing.T) {
	t.Parallel()
	root := (&program{getenv: func(string) string { return "" }}).rootCommand()
	root.InitDefaultCompletionCmd()
	named := regexp.MustCompile(`queuectl ((?:dead )?[a-z]+)\b`)
	for _, file := range []string{"../../README.md", "../../deploy/RUNBOOK.md", "../../compose.yaml", "../../internal/dashboard/static/lists.js"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names no command", file)
		}
		for _, match := range found {
			words := strings.Fields(match[1])
			cmd, rest, err := root.Find(words)
			if err != nil || cmd == root || len(rest) > 0 {
				t.Errorf("%s speaks of queuectl %s, which there is not", file, match[1])
			}
		}
	}
}
