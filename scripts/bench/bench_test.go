package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpread_takesNearestRanks(t *testing.T) {
	var hundred []time.Duration
	for ms := 100; ms > 0; ms-- {
		hundred = append(hundred, time.Duration(ms)*time.Millisecond)
	}
	got := spread(hundred)
	want := distribution{1 * time.Millisecond, 50 * time.Millisecond, 90 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond}
	if got != want {
		t.Errorf("the spread of 1 to 100 ms is %v, want %v", got, want)
	}
	if got := spread(nil); got != (distribution{}) {
		t.Errorf("the spread of nothing is %v", got)
	}
}

// Of a hundred thousand, the 99th percentile may be off by 1.96 times the root of 990.
func TestP99Between(t *testing.T) {
	var all []time.Duration
	for n := range 100_000 {
		all = append(all, time.Duration(n+1))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if low, high := p99Between(all); low != 98_939 || high != 99_062 {
		t.Errorf("it is between %d and %d, want 98939 and 99062", low, high)
	}
	if low, high := p99Between(all[:1]); low != all[0] || high != all[0] {
		t.Errorf("that of one is between %d and %d, want %d", low, high, all[0])
	}
	if low, high := p99Between(nil); low != 0 || high != 0 {
		t.Errorf("that of none is between %d and %d", low, high)
	}
}

// A p99 is no worse than another if it may be the same, as far as the other can be told.
func TestReport_pickUpIsNoWorse(t *testing.T) {
	for worker, want := range map[float64]string{2.0: "met", 2.4: "met", 2.5: "MISSED"} {
		r := &report{Pickup: &pickup{Worker: waited{P99: worker}, Plain: waited{P99: 2.1}, PlainP99Low: 1.9, PlainP99High: 2.4}}
		figures := r.idleFigures()
		if got := figures[len(figures)-1]; got.verdict() != want || !strings.Contains(got.goal, "2.10 ms (1.90 to 2.40)") {
			t.Errorf("%v ms: it is %s, with the goal %q, want %s", worker, got.verdict(), got.goal, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(tt.of); got != tt.want {
			t.Errorf("the median of %v is %v, want %v", tt.of, got, tt.want)
		}
	}
}

func TestPoisson_isInOrderAndHasTheRate(t *testing.T) {
	const rate, long = 5000, 10 * time.Second
	times := poisson(rand.New(rand.NewPCG(1, 2)), rate, long)
	if !slices.IsSorted(times) || times[len(times)-1] > long {
		t.Error("the times are out of order, or too late")
	}
	// One standard deviation is the root of the number.
	if n, want := float64(len(times)), rate*long.Seconds(); math.Abs(n-want) > 5*math.Sqrt(want) {
		t.Errorf("%v orders arrive, want about %v", n, want)
	}
}

func TestParseTimes(t *testing.T) {
	const stat = "4242 (a) name) S 17 4242 4242 0 -1 4194304 1 2 3 4 100 50 7 3 20 0 1 0"
	got, err := parseTimes([]byte(stat))
	if want := (processTimes{parent: 17, own: 150, ofTheDead: 10}); err != nil || got != want {
		t.Errorf("the times are %v, %v, want %v", got, err, want)
	}
	if _, err := parseTimes([]byte("1 (x) S 2")); err == nil {
		t.Error("a line that is too short has times")
	}
}

func TestTransactionsPerSecond(t *testing.T) {
	got, err := transactionsPerSecond([]byte("latency average = 1.6 ms\ntps = 6108.25 (without initial connection time)\n"))
	if err != nil || got != 6108.25 {
		t.Errorf("the rate is %v, %v, want 6108.25", got, err)
	}
	if _, err := transactionsPerSecond([]byte("nothing")); err == nil {
		t.Error("an output without a rate has one")
	}
}

func TestPadding_makesMessagesThatLong(t *testing.T) {
	for _, size := range []int{300, 60_000} {
		padded := strings.Replace(message(1_000_000), "{", "{"+padding(size), 1)
		if len(padded) != size {
			t.Errorf("a message of %d bytes has %d", size, len(padded))
		}
		if !json.Valid([]byte(padded)) {
			t.Errorf("it is no JSON: %.80s", padded)
		}
	}
	if padding(0) != "" {
		t.Error("an ordinary message is padded")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{7: "7", 999.6: "1,000", 123456: "123,456", 1e7: "10,000,000"} {
		if got := thousands(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // of the error
	}{
		{"nothing", nil, ""},
		{"some sections", []string{"--only", "idle,growth"}, ""},
		{"no such section", []string{"--only", "idle,coffee"}, `there is no measurement "coffee"`},
		{"a word", []string{"idle"}, "it takes flags only"},
		{"too few orders", []string{"--orders", "10"}, "--orders: it takes 5000 or more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.args)
			if got := errorText(err); got != tt.want {
				t.Errorf("the error is %q, want %q", got, tt.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestRequest_commandAsksForTheSame(t *testing.T) {
	r, err := parse([]string{"--full", "--only", "idle,growth", "--orders", "5000"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.command(), "make bench-full BENCHFLAGS='--only idle,growth --orders 5000'"; got != want {
		t.Errorf("the command is %s, want %s", got, want)
	}
}

// sample is a report of a few runs.
func sample() *report {
	r := &report{Command: "make bench"}
	add := func(c cell, rates ...float64) {
		c.Section = "throughput"
		if c.Older+c.Workers > 0 {
			c.Section = "growth"
		}
		for i, rate := range rates {
			r.Runs = append(r.Runs, run{cell: c, Repetition: i + 1, Rate: rate, cost: cost{SystemCPU: 1e5 / rate, PostgresCPU: 1e5 / rate}})
		}
	}
	add(worker256, 30_000, 24_000, 25_000)
	add(cell{System: "plain", Store: "plain", InHand: 64}, 3000, 2900, 3100)
	add(cell{System: "plain", Store: "plain", InHand: 256}, 2000)
	add(cell{System: "plain", Store: "group", InHand: 256}, 16_000)
	add(cell{System: "batch"}, 70_000)
	add(cell{System: "worker", InHand: 256, Older: 1e4}, 20_000)
	add(cell{System: "worker", InHand: 256, Older: 1e7}, 10_000)
	return r
}

func TestReport_figuresHaveVerdicts(t *testing.T) {
	verdicts := map[string]string{}
	for _, f := range sample().figures() {
		verdicts[f.name] = f.verdict() + " " + f.measured
	}
	want := map[string]string{
		"256 in hand, against the plain loop at its best":            "met 8.28 x: 25,000 against 3,000 orders/s (plain reliable loop, 64 in hand)",
		"256 in hand, against the best peer with a group commit":     "MISSED 1.88 x: 25,000 against 16,000 orders/s (plain reliable loop + group commit, 256 in hand)",
		"256 in hand, the worker's CPU for an order":                 "met 4.0 µs",
		"an order with 10,000,000 rows in the table, against 10,000": "MISSED 2.00 x the time, 2.00 x the CPU",
	}
	for name, wanted := range want {
		if verdicts[name] != wanted {
			t.Errorf("%s: %q, want %q", name, verdicts[name], wanted)
		}
	}
	if len(verdicts) != len(want) { // what was not measured has none
		t.Errorf("the figures are %v", verdicts)
	}
}

// A peer that fails has no rate, and says so where it ran at no time.
func TestReport_peersThatFail(t *testing.T) {
	r := sample()
	asynq := cell{Section: "throughput", System: "asynq", Store: "plain", InHand: 256, Orders: 60_000}
	again := cell{Section: "throughput", System: "plain", Store: "plain", InHand: 64}
	r.Failed = []failed{{again, 4, "it ended too early"}, {asynq, 1, "asynq, 256 in hand: it does not say enough\nwithin 8m0s"}}
	if table := r.Throughput().String(); strings.Contains(table, "asynq") || strings.Count(table, "failed") != 0 {
		t.Errorf("the table is\n%s", table)
	}
	asynq.InHand = 64
	r.Runs = append(r.Runs, run{cell: asynq, Repetition: 1, Rate: 2000})
	if table, want := r.Throughput().String(), "| asynq | 2,000 | failed |\n"; !strings.Contains(table, want) {
		t.Errorf("the table is\n%s\nwant in it %s", table, want)
	}
	var text strings.Builder
	if err := page.Execute(&text, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- plain, 64 in hand, repetition 4: it ended too early\n",
		"- asynq, 256 in hand, repetition 1: it does not say enough\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestReport_throughputTable(t *testing.T) {
	want := `| orders/s, median [range] | 64 in hand | 256 in hand |
| --- | --- | --- |
| **this worker** | – | 25,000 [24,000–30,000] |
| plain reliable loop | 3,000 [2,900–3,100] | 2,000 |
| plain reliable loop + group commit | – | 16,000 |
`
	if got := sample().Throughput().String(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestReport_chartsShowWhatWasMeasured(t *testing.T) {
	var files []string
	for _, c := range sample().charts() {
		files = append(files, c.File)
		for _, s := range c.Series {
			if len(s.Points) == 0 {
				t.Errorf("%s has no points for %s", c.File, s.Name)
			}
		}
	}
	if want := []string{"throughput-plain.svg", "throughput-group.svg", "cost.svg", "growth.svg"}; !slices.Equal(files, want) {
		t.Errorf("the charts are %v, want %v", files, want)
	}
}

// The page can be written of a report that has everything, and of one that has nothing.
func TestPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := sample().save(file); err != nil {
		t.Fatal(err)
	}
	r, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*report{"a few figures": r, "none": {}} {
		var text strings.Builder
		if err := page.Execute(&text, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if missed := strings.Contains(text.String(), "These goals are missed"); missed != (name != "none") {
			t.Errorf("%s: it says %v about missed goals", name, missed)
		}
	}
}

func TestReplaceBetween(t *testing.T) {
	got, found := replaceBetween("a\n<b>\nold\n</b>\nc\n", "<b>\n", "</b>\n", "new\n")
	if want := "a\n<b>\nnew\n</b>\nc\n"; got != want || !found {
		t.Errorf("it is %q, %v, want %q", got, found, want)
	}
	if _, found := replaceBetween("a\n<b>\n", "<b>\n", "</b>\n", "new\n"); found {
		t.Error("an end that is missing is found")
	}
}

// Each plot that the page shows is one that the program draws.
func TestPage_showsChartsThatExist(t *testing.T) {
	r := sample()
	r.Latency = []latency{{System: "worker", Share: 0.25}}
	for _, c := range r.charts() {
		if !strings.Contains(pageText, "(results/"+c.File+")") {
			t.Errorf("the page does not show %s", c.File)
		}
	}
	for part := range strings.SplitSeq(pageText, "(results/") {
		if name, _, _ := strings.Cut(part, ")"); strings.HasSuffix(name, ".svg") &&
			!slices.ContainsFunc(r.charts(), func(c chart) bool { return c.File == name }) {
			t.Errorf("the page shows %s, which nothing draws", name)
		}
	}
}
