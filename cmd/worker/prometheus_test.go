package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"
)

const deployed = "../../deploy"

// prometheus is a real one that looks at workers, with the alerts that are shipped.
type prometheus struct {
	*testing.T
	url string
}

// newPrometheus starts one with the shipped configuration, but for where the workers are and
// how often it looks.
func newPrometheus(t *testing.T, workers ...health) prometheus {
	dir, addr := t.TempDir(), newHealth(t).addr
	found := "    static_configs: [{targets: ["
	for _, w := range workers {
		found += fmt.Sprintf("%q, ", w.addr)
	}
	config := readDeployed(t, "prometheus/prometheus.yml")
	config = regexp.MustCompile(`(?s)    dns_sd_configs:.*`).ReplaceAllLiteralString(config, found+"]}]\n")
	config = strings.ReplaceAll(config, "_interval: 5s", "_interval: 1s")
	for name, text := range map[string]string{"prometheus.yml": config, "alerts.yml": readDeployed(t, "prometheus/alerts.yml")} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=warn")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Wait() // it was killed
		if said.Len() > 0 {
			t.Errorf("Prometheus says: %s", said.String())
		}
	})
	return prometheus{t, "http://" + addr}
}

func readDeployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed, name))
	must(t, err)
	return string(text)
}

// get reads what the API answers into data, and reports whether there is an answer.
func (p prometheus) get(path string, data any) bool {
	p.Helper()
	resp, err := http.Get(p.url + "/api/v1/" + path)
	if err != nil {
		return false // it is not up yet,
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return false // or has not read its data
	}
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err = json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != "" {
		p.Errorf("%s: %v%s", path, err, answer.Error)
	}
	return err == nil && answer.Error == ""
}

// sees reports whether a query finds anything.
func (p prometheus) sees(query string) bool {
	p.Helper()
	var found struct{ Result []json.RawMessage }
	return p.get("query?query="+url.QueryEscape(query), &found) && len(found.Result) > 0
}

func (p prometheus) awaits(query string) {
	p.Helper()
	testenv.Eventually(p, 20*time.Second, query, func() bool { return p.sees(query) })
}

// Prometheus finds something for each query of the dashboard, but for those that show only
// what is wrong, and raises the alerts.
func TestPrometheus_seesWhatHappens(t *testing.T) {
	s := newSite(t)
	one, other := newHealth(t), newHealth(t)
	dies := s.start(one.setting())
	s.start(other.setting())
	p := newPrometheus(t, one, other)
	p.awaits(`sum(up{job="fulfillment-worker"}) == 2`)

	s.push("not json")
	s.orderAtOnce(40)
	s.awaitFulfilled(20 * time.Second)
	p.awaits(`ALERTS{alertname="FulfillmentDeadLetters", reason="malformed", alertstate="firing"}`)
	variables := strings.NewReplacer("$__rate_interval", "30s", "$instance", ".+")
	for _, query := range dashboardQueries(t) {
		if query = variables.Replace(query); strings.HasSuffix(query, " > 0") || strings.HasSuffix(query, " == 0") {
			p.sees(query) // it must be PromQL
		} else {
			p.awaits(query)
		}
	}

	dies.kill()
	p.awaits(`ALERTS{alertname="FulfillmentWorkerDown", alertstate="pending"}`)
	if p.sees(`ALERTS{alertname="FulfillmentNoWorker"}`) {
		t.Error("it alerts that there is no worker, and there is one")
	}
	p.rulesWork()
}

// rulesWork fails unless each rule was evaluated without an error.
func (p prometheus) rulesWork() {
	p.Helper()
	var all struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if !p.get("rules", &all) || len(all.Groups) == 0 {
		p.Fatal("it has no rules")
	}
	for _, group := range all.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				p.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
}

// dashboardQueries are what Grafana asks Prometheus.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal([]byte(readDeployed(t, "grafana/dashboards/fulfillment.json")), &dashboard))
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	if len(queries) < 20 {
		t.Errorf("it has only %d queries", len(queries))
	}
	return queries
}
