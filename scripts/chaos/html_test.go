package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func pageOf(t *testing.T, r *report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.page(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// drawnReport has something of all that is drawn.
func drawnReport() *report {
	r := goodReport()
	r.HistoryBegin, r.Begin, r.FaultsBegin, r.FaultsEnd = noon(0), noon(0), noon(1000), noon(3000)
	r.PerSecond = []int{100, 50, 0, 120}
	r.Injuries = []injury{
		{Fault: "kill", Victim: "worker-1.1", Begin: noon(1500), End: noon(1500), Since: noon(1500), Proof: 3, Measured: true, Healed: true, Took: time.Second},
		{Fault: "redis-kill", Victim: "redis", Begin: noon(2000), End: noon(2500), Proof: 1},
	}
	r.Lives = []lifeBar{{"worker-1.1", noon(0), noon(1500), "killed"}, {"worker-1.2", noon(1500), noon(4000), "exit code 0"}}
	r.Verdict = r.judge()
	return r
}

func TestPage_showsFaultsLivesAndThroughput(t *testing.T) {
	t.Parallel()
	page := pageOf(t, drawnReport())
	for _, want := range []string{
		"GOOD: 1000 orders", "kill at 1.5s, 0s: 3 proofs, recovered in 1s", "redis-kill at 2s", "worker-1.1, from 0s to 1.5s: killed", "worker-1.2",
		"120 orders/s at 3s", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, alien := range []string{"<script", "http://", "https://", "src=", "@import", "NaN", "ZgotmplZ"} {
		if strings.Contains(page, alien) {
			t.Errorf("the page has %q", alien)
		}
	}
	begin, end := strings.Index(page, "<svg"), strings.Index(page, "</svg>")
	for d := xml.NewDecoder(strings.NewReader(page[begin : end+len("</svg>")])); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is not well formed: %v", err)
		}
	}
}

func TestPage_escapes(t *testing.T) {
	t.Parallel()
	r := drawnReport()
	const bad = `<script>alert("x")</script>`
	r.Tally.Illegal = violations{1, []string{bad}}
	r.Burials.Strange = violations{1, []string{bad}}
	r.Injuries[0].Victim, r.Injuries[0].Fault, r.Repeat, r.Left = bad, `"><b>`, bad, []string{bad}
	r.Verdict = r.judge()
	page := pageOf(t, r)
	if strings.Contains(page, "<script") || strings.Contains(page, `"><b>`) {
		t.Error("what is found gets into the page as it is")
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("what is found is not shown")
	}
}

func TestPage_drawsHoursInBoundedSpace(t *testing.T) {
	t.Parallel()
	r := drawnReport()
	r.PerSecond = make([]int, 8*3600)
	if d := r.draw(); len(d.Bars) > mostBars {
		t.Errorf("%d bars are drawn, want at most %d", len(d.Bars), mostBars)
	}
	r.PerSecond = nil
	pageOf(t, r) // nothing was fulfilled at all
}
