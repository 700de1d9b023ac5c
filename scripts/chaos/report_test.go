package main

import (
	"strings"
	"testing"
	"time"
)

// goodReport is one of a run that showed what it should.
func goodReport() *report {
	return &report{
		Floor: 50, Slack: time.Second, Before: 100, During: 60, After: 100, InTable: 1000,
		Tally:    tally{Orders: 1000, Fulfilled: 1000, Repeated: 7, Checked: 1000},
		Burials:  burials{Pushed: 10, Buried: 10},
		Injuries: []injury{{Fault: "kill", Proof: 3, Measured: true, Healed: true, Took: time.Second}},
		Kinds: []kind{
			{Name: "kill", Planned: 1, Happened: 1, Alone: 1, Proof: 3, Measured: 1, Max: time.Second, Bound: 2 * time.Second},
			{Name: "freeze"},
		},
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	one := violations{1, []string{"order 7"}}
	tests := []struct {
		name  string
		spoil func(*report)
		want  string // in the reason; "" is a good verdict
	}{
		{"nothing is wrong", func(*report) {}, ""},
		{"work was run again", func(r *report) { r.Tally.Repeated = 500 }, ""},
		{"within the slack", func(r *report) { r.Kinds[0].Max = 3 * time.Second }, ""},
		{"an order is lost", func(r *report) { r.Lost, r.Tally.Fulfilled = []int64{7}, 999 }, "1 order not fulfilled: [7]"},
		{"an order has vanished", func(r *report) { r.Vanished, r.Tally.Fulfilled, r.InTable = []int64{7}, 999, 999 }, "1 order in the table no more, and not known to be fulfilled: [7]"},
		{"an order is doubled", func(r *report) { r.Tally.Doubled = one }, "1 fulfilled twice, as: order 7"},
		{"a forbidden step", func(r *report) { r.Tally.Forbidden = one }, "1 steps outside the contract"},
		{"a history that cannot be", func(r *report) { r.Tally.Illegal = one }, "1 histories that cannot be"},
		{"a history that is too long", func(r *report) { r.Tally.Undecided = 1 }, "unknown: 1 histories"},
		{"a worker panics", func(r *report) { r.Tally.Failed = one }, "1 workers ended by an error"},
		{"a dead letter twice", func(r *report) { r.Burials.Doubled = one }, "1 dead letters doubled"},
		{"a good message among the dead letters", func(r *report) { r.Burials.Strange = one }, "1 dead letters that are no poison"},
		{"poison that is nowhere", func(r *report) { r.Burials.Missing = 2 }, "2 messages of poison are no dead letters"},
		{"something is left over", func(r *report) { r.Left = []string{"{fulfillment_queue}:delayed"} }, "left over in Redis: [{fulfillment_queue}:delayed]"},
		{"a worker exits with 1", func(r *report) { r.Troubles = one }, "1 broken promises"},
		{"the history misses an order", func(r *report) { r.InTable = 1001 }, "the table has 1001 orders, the history 1000"},
		{"too slow before", func(r *report) { r.Before = 49 }, "unknown: 49 orders/s before"},
		{"too slow after", func(r *report) { r.After = 0 }, "unknown: 0 orders/s after"},
		{"no fault at all", func(r *report) { r.Injuries = nil }, "unknown: no fault happened"},
		{"a fault that did not happen", func(r *report) { r.Kinds[1].Planned = 2 }, "unknown: freeze was planned and did not happen"},
		{"a recovery that nobody measured", func(r *report) { r.Kinds[0].Measured, r.Kinds[0].Max = 0, 0 }, "unknown: no recovery from kill was measured"},
		{"no time for a recovery alone", func(r *report) { r.Kinds[0].Measured, r.Kinds[0].Max, r.Kinds[0].Alone = 0, 0, 0 }, ""},
		{"a fault that promises no bound", func(r *report) { r.Kinds[0].Measured, r.Kinds[0].Max, r.Kinds[0].Bound = 0, 0, 0 }, ""},
		{"a recovery that did not come", func(r *report) { r.Kinds[0].Missed = 1 }, "kill: 1 times no recovery"},
		{"a recovery that took too long", func(r *report) { r.Kinds[0].Max = 3001 * time.Millisecond }, "kill: recovery took 3s, more than 2s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := goodReport()
			tt.spoil(r)
			v := r.judge()
			switch {
			case tt.want == "" && (!v.Good || len(v.Reasons) > 0):
				t.Errorf("the verdict is bad: %q", v.Reasons)
			case tt.want != "" && (v.Good || len(v.Reasons) != 1 || !strings.Contains(v.Reasons[0], tt.want)):
				t.Errorf("the verdict is %v, %q, want %q", v.Good, v.Reasons, tt.want)
			}
		})
	}
}

func TestSumKinds(t *testing.T) {
	t.Parallel()
	f := &fault{name: "kill", lane: onWorker, proof: "messages in its hand", bound: profile.takenOver}
	never := &fault{name: "freeze", lane: onWorker} // and promises nothing
	got := sumKinds([]*fault{f, never}, map[string]int{"kill": 5, "freeze": 1}, []injury{
		{Fault: "kill", Proof: 3, Measured: true, Healed: true, Took: 300 * time.Millisecond},
		{Fault: "kill", Proof: 2, Measured: true, Healed: true, Took: 100 * time.Millisecond},
		{Fault: "kill", Proof: 1, Measured: true, Healed: true, Took: 200 * time.Millisecond},
		{Fault: "kill", Proof: 1},
		{Fault: "kill", Proof: 4, Alone: true, Measured: true},
	}, torture)
	want := kind{
		Name: "kill", Lane: "worker", Unit: "messages in its hand", Planned: 5, Happened: 5, Alone: 1, Proof: 11, Measured: 3, Missed: 1,
		P50: 200 * time.Millisecond, P99: 300 * time.Millisecond, Max: 300 * time.Millisecond, Bound: 2 * time.Second,
	}
	if len(got) != 2 || got[0] != want {
		t.Errorf("the kinds are %+v, want first %+v", got, want)
	}
	if got[1].Happened != 0 || got[1].Planned != 1 {
		t.Errorf("a kind that did not happen is %+v", got[1])
	}
}
