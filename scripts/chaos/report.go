package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// report is all that a run has shown.
type report struct {
	Seed     uint64        `json:"seed"`
	Repeat   string        `json:"repeat"`
	Profile  profile       `json:"profile"`
	Duration time.Duration `json:"duration_ns"`
	Rate     int           `json:"rate"`
	Floor    float64       `json:"floor"`
	Slack    time.Duration `json:"slack_ns"`

	Begin       time.Time     `json:"begin"`
	FaultsBegin time.Time     `json:"faults_begin"`
	FaultsEnd   time.Time     `json:"faults_end"`
	Drained     time.Duration `json:"drained_ns"` // how long that took
	Before      float64       `json:"orders_per_second_before"`
	During      float64       `json:"orders_per_second_during"`
	After       float64       `json:"orders_per_second_after"`

	HistoryBegin time.Time `json:"history_begin"`
	PerSecond    []int     `json:"orders_per_second"`

	InTable  int        `json:"orders_in_table"`
	Lost     []int64    `json:"lost"`
	Vanished []int64    `json:"vanished"` // their INSERT was acknowledged, and no row tells of them
	Left     []string   `json:"left_over"`
	Tally    tally      `json:"tally"`
	Burials  burials    `json:"poison"`
	Troubles violations `json:"troubles"`
	Inserts  said3      `json:"inserts"`
	Pushes   said3      `json:"messages"`

	Injuries []injury  `json:"injuries"`
	Kinds    []kind    `json:"kinds"`
	Verdict  verdict   `json:"verdict"`
	Lives    []lifeBar `json:"lives"`
}

// said3 are the three outcomes that a producer knows of.
type said3 struct {
	OK      int64 `json:"ok"`
	Failed  int64 `json:"failed"`
	Unknown int64 `json:"unknown"`
}

func (o *outcomes) said() said3 { return said3{o.OK.Load(), o.Failed.Load(), o.Unknown.Load()} }

// kind is what one kind of fault has done.
type kind struct {
	Name     string        `json:"name"`
	About    string        `json:"about"`
	Lane     string        `json:"lane"`
	Unit     string        `json:"unit"`
	Planned  int           `json:"planned"`
	Happened int           `json:"happened"`
	Alone    int           `json:"alone"` // of those: its recovery can be measured
	Proof    int           `json:"proof"`
	Measured int           `json:"recoveries_measured"`
	Missed   int           `json:"not_recovered"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
	Bound    time.Duration `json:"bound_ns"` // 0 where none is promised
}

// sumKinds is a line for each kind of fault that the plan names.
func sumKinds(faults []*fault, planned map[string]int, injuries []injury, p profile) []kind {
	var all []kind
	for _, f := range faults {
		k := kind{Name: f.name, About: f.about, Lane: string(f.lane), Unit: f.proof, Planned: planned[f.name]}
		if f.bound != nil {
			k.Bound = f.bound(p)
		}
		var took []time.Duration
		for _, i := range injuries {
			if i.Fault != f.name {
				continue
			}
			k.Happened++
			k.Proof += i.Proof
			if i.Alone {
				k.Alone++
			}
			switch {
			case i.Measured && i.Healed:
				took = append(took, i.Took)
			case i.Measured:
				k.Missed++
			}
		}
		k.Measured = len(took)
		k.P50, k.P99, k.Max = rank(took, 50), rank(took, 99), rank(took, 100)
		all = append(all, k)
	}
	return all
}

// rank is the nearest one: one of the durations itself.
func rank(of []time.Duration, percent int) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// verdict is what a run comes to.
type verdict struct {
	Good    bool     `json:"good"`
	Reasons []string `json:"reasons"` // why it is not good
}

// judge gives the verdict. Unknown is bad: a run that shows nothing is no good run.
func (r *report) judge() verdict {
	var why []string
	bad := func(is bool, format string, args ...any) {
		if is {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	bad(len(r.Lost) > 0, "%s not fulfilled: %v", plural(len(r.Lost), "order"), first(r.Lost, 10))
	bad(len(r.Vanished) > 0, "%s in the table no more, and not known to be fulfilled: %v", plural(len(r.Vanished), "order"), first(r.Vanished, 10))
	for _, v := range []struct {
		what string
		violations
	}{
		{"fulfilled twice", r.Tally.Doubled},
		{"steps outside the contract", r.Tally.Forbidden},
		{"histories that cannot be", r.Tally.Illegal},
		{"workers ended by an error", r.Tally.Failed},
		{"dead letters doubled", r.Burials.Doubled},
		{"dead letters that are no poison", r.Burials.Strange},
		{"broken promises", r.Troubles},
	} {
		bad(v.Count > 0, "%d %s, as: %s", v.Count, v.what, cmp.Or(append(v.Examples, "")[0], "-"))
	}
	bad(r.Burials.Missing > 0, "%d messages of poison are no dead letters", r.Burials.Missing)
	bad(len(r.Left) > 0, "left over in Redis: %v", first(r.Left, 10))
	bad(r.Tally.Fulfilled+len(r.Lost) != r.InTable, "the table has %d orders, the history %d fulfilled", r.InTable, r.Tally.Fulfilled)
	bad(r.Tally.Undecided > 0, "unknown: %d histories took too long to check", r.Tally.Undecided)
	bad(r.Before < r.Floor, "unknown: %.0f orders/s before the faults, less than %.0f: too little happened", r.Before, r.Floor)
	bad(r.After < r.Floor, "unknown: %.0f orders/s after the faults, less than %.0f", r.After, r.Floor)
	bad(len(r.Injuries) == 0, "unknown: no fault happened")
	for _, k := range r.Kinds {
		bad(k.Planned > 0 && k.Happened == 0, "unknown: %s was planned and did not happen", k.Name)
		bad(k.Bound > 0 && k.Alone > 0 && k.Measured+k.Missed == 0, "unknown: no recovery from %s was measured", k.Name)
		bad(k.Missed > 0, "%s: %d times no recovery", k.Name, k.Missed)
		bad(k.Max > k.Bound+r.Slack, "%s: recovery took %s, more than %s and %s of slack", k.Name, short(k.Max), short(k.Bound), short(r.Slack))
	}
	return verdict{len(why) == 0, why}
}

func first[T any](of []T, n int) []T { return of[:min(n, len(of))] }

func (r *report) save(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// short is a duration as precise as people need it.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// plural is "1 order" or "2 orders".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// write saves the report where it is asked for.
func (r *report) write(out files) error {
	for _, f := range []struct {
		name string
		to   func(io.Writer) error
	}{{out.json, r.save}, {out.html, r.page}} {
		if f.name == "" {
			continue
		}
		if err := writeFile(f.name, f.to); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, to func(io.Writer) error) error {
	if name == "-" {
		return to(os.Stdout)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(to(file), file.Close())
}
