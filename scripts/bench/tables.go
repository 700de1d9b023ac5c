package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// table is one of Markdown.
type table struct {
	head []string
	Rows [][]string
}

func (t *table) add(row ...string) { t.Rows = append(t.Rows, row) }

func (t *table) String() string {
	var s strings.Builder
	line := func(cells []string) { s.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	line(slices.Repeat([]string{"---"}, len(t.head)))
	for _, row := range t.Rows {
		line(row)
	}
	return s.String()
}

// known are the systems in the order of the tables, and how people know them.
var known = []struct{ system, title string }{
	{"worker", "**this worker**"},
	{"plain", "plain reliable loop"},
	{"rmq", "rmq"},
	{"rmq-fast", "rmq, polling each 5 ms"},
	{"asynq", "asynq"},
	{"work", "gocraft/work"},
	{"river", "River"},
	{"river-fast", "River, `FetchCooldown` 1 ms"},
	{"batch", "batch prototype"},
	{"set-based", "set-based UPDATEs, no queue"},
	{"pgbench", "pgbench, two UPDATEs"},
	{"redis-alone", "Redis alone: LMOVE and LREM"},
}

func placeOf(system string) int {
	for i, k := range known {
		if k.system == system {
			return i
		}
	}
	return len(known)
}

func titleOf(system string) string {
	if i := placeOf(system); i < len(known) {
		return known[i].title
	}
	return system
}

// title names a cell, but for its number in hand.
func (c cell) title() string {
	t := titleOf(c.System)
	if c.Store == "group" {
		t += " + group commit"
	}
	if c.Log != "" {
		t += ", `LOG_LEVEL=" + c.Log + "`"
	}
	if c.Watched {
		t += ", scraped and with a page open"
	}
	return t
}

// thousands is a number as people read it: 1,234,567.
func thousands(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// markdown is a rate in a table: its median, and its range where there is one.
func (r rates) markdown() string {
	switch r.Runs {
	case 0:
		return "–"
	case 1:
		return thousands(r.Median)
	}
	return fmt.Sprintf("%s [%s–%s]", thousands(r.Median), thousands(r.Min), thousands(r.Max))
}

// kinds are the cells of the section throughput without their number in hand, each once,
// in the order of the tables.
func (r *report) kinds() (all []cell) {
	for _, one := range r.Runs {
		c := one.same()
		c.InHand = 0
		if c.Section == "throughput" && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b cell) int {
		return cmp.Or(a.rank()-b.rank(), placeOf(a.System)-placeOf(b.System))
	})
	return all
}

// rank puts the worker first, then peers as they come, those with a group commit, and the
// ceilings.
func (c cell) rank() int {
	switch {
	case c.System == "worker":
		return 0
	case c.Store == "plain":
		return 1
	case c.Store == "group":
		return 2
	}
	return 3
}

// inHands are the numbers in hand of the section throughput, of whatever is no ceiling.
func (r *report) inHands() (all []int) {
	for _, one := range r.Runs {
		if one.Section == "throughput" && one.rank() < 3 && !slices.Contains(all, one.InHand) {
			all = append(all, one.InHand)
		}
	}
	slices.Sort(all)
	return all
}

// Throughput has a row for each system and a column for each number in hand.
func (r *report) Throughput() *table { return r.throughputOf(r.inHands()) }

func (r *report) throughputOf(hands []int) *table {
	t := &table{head: []string{"orders/s, median [range]"}}
	for _, k := range hands {
		t.head = append(t.head, fmt.Sprintf("%d in hand", k))
	}
	for _, c := range r.kinds() {
		if c.rank() == 3 {
			continue
		}
		row, runs := []string{c.title()}, 0
		for _, c.InHand = range hands {
			rate := ratesOf(r.Runs.of(c))
			row, runs = append(row, rate.markdown()), runs+rate.Runs
			if rate.Runs == 0 && r.hasFailed(c) {
				row[len(row)-1] = "failed"
			}
		}
		if runs > 0 {
			t.add(row...)
		}
	}
	return t
}

// hasFailed reports whether a run of the cell gave no figures.
func (r *report) hasFailed(c cell) bool {
	return slices.ContainsFunc(r.Failed, func(f failed) bool { return f.same() == c.same() })
}

// Ceilings are what the servers could do.
func (r *report) Ceilings() *table {
	t := &table{head: []string{"", "orders/s, median [range]", "CPU of PostgreSQL / Redis, µs an order"}}
	for _, kind := range r.kinds() {
		if kind.rank() < 3 {
			continue
		}
		for _, k := range []int{0, 1, 10, 64} {
			c := kind
			c.InHand = k
			some := r.Runs.of(c)
			if len(some) == 0 {
				continue
			}
			name := c.title()
			if k > 0 {
				name += fmt.Sprintf(", %d connections", k)
			}
			t.add(name, ratesOf(some).markdown(), fmt.Sprintf("%.1f / %.1f",
				r.median(c, func(r run) float64 { return r.PostgresCPU }), r.median(c, func(r run) float64 { return r.RedisCPU })))
		}
	}
	return t
}

// Costs are what an order costs with so many in hand.
func (r *report) Costs(inHand int) *table {
	t := &table{head: []string{
		"a single order", "CPU of the system, µs", "of PostgreSQL", "of Redis", "Redis commands", "Redis reads", "PostgreSQL transactions",
	}}
	for _, c := range r.kinds() {
		c.InHand = inHand
		if len(r.Runs.of(c)) == 0 || c.rank() == 3 {
			continue
		}
		row := []string{c.title()}
		for _, of := range []struct {
			format string
			figure func(run) float64
		}{
			{"%.1f", func(r run) float64 { return r.SystemCPU }},
			{"%.1f", func(r run) float64 { return r.PostgresCPU }},
			{"%.1f", func(r run) float64 { return r.RedisCPU }},
			{"%.2f", func(r run) float64 { return r.Commands }},
			{"%.2f", func(r run) float64 { return r.Reads }},
			{"%.3f", func(r run) float64 { return r.Transactions }},
		} {
			row = append(row, fmt.Sprintf(of.format, r.median(c, of.figure)))
		}
		t.add(row...)
	}
	return t
}

// Allocated is what an order makes the worker allocate.
func (r *report) Allocated() *table {
	t := &table{head: []string{"in hand", "allocations an order", "bytes an order"}}
	for _, a := range r.Allocations {
		t.add(strconv.Itoa(a.InHand), fmt.Sprintf("%.1f", a.Count), thousands(a.Bytes))
	}
	return t
}

// Grown has the growth of one thing: "rows", "queued", "workers" or "bytes".
func (r *report) Grown(what string) *table {
	of := growths[what]
	t := &table{head: []string{of.title, "orders of a run", "orders/s, median [range]", "CPU of the worker / PostgreSQL / Redis, µs an order", "workers' memory, MB"}}
	for _, c := range r.grownCells(of.size) {
		runs := r.Runs.of(c)
		t.add(thousands(float64(of.size(c))), thousands(float64(runs[0].Orders)), ratesOf(runs).markdown(), fmt.Sprintf("%.1f / %.1f / %.1f",
			r.median(c, func(r run) float64 { return r.SystemCPU }), r.median(c, func(r run) float64 { return r.PostgresCPU }),
			r.median(c, func(r run) float64 { return r.RedisCPU })), fmt.Sprintf("%.0f", r.median(c, func(r run) float64 { return r.Memory })))
	}
	return t
}

var growths = map[string]struct {
	title string
	size  func(cell) int
}{
	"rows":    {"older rows in the table", func(c cell) int { return c.Older }},
	"queued":  {"messages that stay queued", func(c cell) int { return c.Behind }},
	"workers": {"workers", func(c cell) int { return c.Workers }},
	"bytes":   {"bytes of a message", func(c cell) int { return c.Payload }},
}

// Memory is what messages take that are queued.
func (r *report) Memory() *table {
	t := &table{head: []string{"messages queued", "Redis's memory, MB"}}
	for _, q := range r.Queued {
		t.add(thousands(float64(q.Messages)), fmt.Sprintf("%.1f", q.Memory))
	}
	return t
}

// Latencies are the waits at shares of the maximum.
func (r *report) Latencies() *table {
	t := &table{head: []string{"ms, p50 / p99 / p99.9", "at most, orders/s"}}
	for _, share := range shares {
		t.head = append(t.head, fmt.Sprintf("at %.0f %%", share*100))
	}
	var row []string
	for i, l := range r.Latency {
		if i%len(shares) == 0 {
			c := cell{System: l.System, Store: l.Store}
			row = []string{fmt.Sprintf("%s, %d in hand", c.title(), l.InHand), thousands(l.Maximum)}
		}
		row = append(row, fmt.Sprintf("%.1f / %.1f / %.1f", l.P50, l.P99, l.P999))
		if len(row) == len(t.head) {
			t.add(row...)
		}
	}
	return t
}

// Pickups are the waits when idle.
func (r *report) Pickups() *table {
	t := &table{head: []string{"ms", "p50", "p90", "p99", "p99.9", "max"}}
	if r.Pickup == nil {
		return t
	}
	line := func(name string, w waited) {
		row := []string{name}
		for _, wait := range []float64{w.P50, w.P90, w.P99, w.P999, w.Max} {
			row = append(row, fmt.Sprintf("%.2f", wait))
		}
		t.add(row...)
	}
	line(titleOf("worker")+", to the log line `Processing order N`", r.Pickup.Logged)
	line(titleOf("worker")+", to the fulfilment", r.Pickup.Worker)
	line(titleOf("plain")+", to the fulfilment", r.Pickup.Plain)
	for _, p := range r.Pickup.Peers {
		line(titleOf(p.System)+", to the fulfilment", p.waited)
	}
	return t
}

// Idles are what systems cost with nothing to do.
func (r *report) Idles() *table {
	t := &table{head: []string{"each second", "Redis commands, in scripts too", "Redis commands sent", "CPU, of a core", "memory, MB"}}
	for _, i := range r.Idle {
		t.add(titleOf(i.System), fmt.Sprintf("%.1f", i.Commands), fmt.Sprintf("%.1f", i.Sent), fmt.Sprintf("%.2f %%", i.CPU*100), fmt.Sprintf("%.1f", i.RSS))
	}
	return t
}

// Recoveries are the waits after kill -9.
func (r *report) Recoveries() *table {
	t := &table{head: []string{"after kill -9", "an order is taken over after"}}
	if k := r.Kills; k != nil {
		t.add(titleOf("worker"), fmt.Sprintf("p50 %.1f s, max %.1f s, of %d orders in %d kills; %d lost", k.P50, k.Max, k.InHand, k.Kills, k.Lost))
	}
	waits, order := map[string][]string{}, []string{}
	for _, one := range r.Recovery {
		if waits[one.System] == nil {
			order = append(order, one.System)
		}
		wait := fmt.Sprintf("%.0f s", one.Seconds)
		if one.Seconds == 0 {
			wait = fmt.Sprintf("not within %.0f s", one.Cap)
		}
		waits[one.System] = append(waits[one.System], wait)
	}
	for _, system := range order {
		t.add(titleOf(system), strings.Join(waits[system], ", "))
	}
	if len(order) > 0 {
		t.add(titleOf("plain"), "never: nobody looks")
	}
	return t
}

// Goals are the figures of the final table.
func (r *report) Goals() *table {
	t := &table{head: []string{"figure", "measured", "goal", ""}}
	for _, f := range r.figures() {
		t.add(f.name, f.measured, f.goal, f.verdict())
	}
	return t
}

// Missed are those of them that are not met.
func (r *report) Missed() *table {
	t := &table{head: []string{"figure", "measured", "goal"}}
	for _, f := range r.figures() {
		if f.verdict() == "MISSED" {
			t.add(f.name, f.measured, f.goal)
		}
	}
	return t
}
