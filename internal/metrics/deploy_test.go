package metrics_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/metrics"
)

const (
	alertsFile    = "../../deploy/prometheus/alerts.yml"
	rulesTestFile = "../../deploy/prometheus/alerts_test.yml"
	runbookFile   = "../../deploy/RUNBOOK.md"
	dashboardFile = "../../deploy/grafana/dashboards/fulfillment.json"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestDeploy_promtoolIsContent(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "config", "../../deploy/prometheus/prometheus.yml") // the alerts with it
	promtool(t, "test", "rules", rulesTestFile)
}

// everything is the name of each sample that a worker may ever show.
func everything(t *testing.T) map[string]bool {
	t.Helper()
	m := newMetrics()
	age := time.Second
	m.Queue(func(context.Context) (metrics.Queue, error) {
		return metrics.Queue{OldestAge: &age, LeaseLeft: &age, Workers: map[string]int{"alive": 1}}, nil
	})
	m.Hands(func() (busy, inHand int) { return 0, 0 })
	m.Checks(func(context.Context) map[string]bool { return map[string]bool{"ready/redis": true} })
	m.Pool("postgres", func() metrics.Pool { return metrics.Pool{} })
	m.Redis("ack", 0, metrics.Refused)
	m.Postgres("claim", 0, metrics.Refused)
	m.PostgresTogether("claim", 1, 0, metrics.Answered)
	m.Turned(metrics.Claim)
	m.Renewed(time.Now(), time.Now())
	m.Found(metrics.RedisServer, nil)
	names := map[string]bool{}
	for _, line := range shown(t, m) {
		names[regexp.MustCompile(`^\w+`).FindString(line)] = true
	}
	return names
}

func TestDeploy_namesMetricsThatExist(t *testing.T) {
	t.Parallel()
	exists := everything(t)
	for _, file := range []string{alertsFile, rulesTestFile, runbookFile, dashboardFile} {
		named := regexp.MustCompile(`\b(?:fulfillment|process|go)_[a-z_]+`).FindAllString(read(t, file), -1)
		if len(named) < 5 {
			t.Errorf("%s names only %d metrics", file, len(named))
		}
		for _, name := range named {
			if !exists[name] && !exists[name+"_count"] { // the runbook names a histogram as a whole
				t.Errorf("%s names %s: there is no such metric", file, name)
			}
		}
	}
}

// Whatever a worker counts is looked at by somebody.
func TestDeploy_showsEachMetric(t *testing.T) {
	t.Parallel()
	looked := read(t, alertsFile) + read(t, dashboardFile)
	for name := range everything(t) {
		whole := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if strings.HasPrefix(name, "fulfillment_") && !strings.Contains(looked, whole) {
			t.Errorf("neither the dashboard nor an alert looks at %s", whole)
		}
	}
}

func submatches(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// Each alert has its section in the runbook, in the same order, says so, and is tested.
func TestDeploy_eachAlertHasItsSection(t *testing.T) {
	t.Parallel()
	alerts, runbook := read(t, alertsFile), read(t, runbookFile)
	names := submatches(`(?m)^ +- alert: (\w+)$`, alerts)
	if len(names) == 0 {
		t.Fatal("there are no alerts")
	}
	if sections := submatches(`(?m)^## (.+)$`, runbook); !slices.Equal(sections, names) {
		t.Errorf("the runbook has the sections\n%q, the alerts are\n%q", sections, names)
	}
	anchors := submatches(`runbook: deploy/RUNBOOK\.md#(\w+)`, alerts)
	for i, name := range names {
		if i >= len(anchors) || anchors[i] != strings.ToLower(name) {
			t.Errorf("%s does not say where its section is: %q", name, anchors)
		}
		if !regexp.MustCompile(`alertname: ` + name + `\n +exp_alerts:\n`).MatchString(read(t, rulesTestFile)) {
			t.Errorf("no test sees %s fire", name)
		}
	}
	for _, anchor := range submatches(`\]\(#(\w+)\)`, runbook) {
		if !slices.Contains(anchors, anchor) {
			t.Errorf("the runbook refers to its section %s: there is none", anchor)
		}
	}
}

// The runbook quotes log lines: the program says them.
func TestDeploy_runbookQuotesTheLog(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			sources.WriteString(read(t, filepath.Join("../..", name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	quotes := submatches("`(\"[^`]+\")`", read(t, runbookFile))
	if len(quotes) < 10 {
		t.Errorf("it quotes only %q", quotes)
	}
	for _, quote := range quotes {
		if !strings.Contains(sources.String(), quote) {
			t.Errorf("nothing says %s", quote)
		}
	}
}
