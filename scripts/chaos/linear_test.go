package main

import (
	"strings"
	"testing"
	"time"
)

func hears(string, time.Time, time.Time) bool { return false }

// Handmade histories: each event is at a time in milliseconds. A row is seen 20 ms after
// its trigger.

func noon(ms int) time.Time {
	return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func inserted(ms int) event { return rowAt(ms, "chaos", "", "pending") }

func rowAt(ms int, actor, old, new string) event {
	return event{what: row, actor: actor, at: noon(ms), seen: noon(ms + 20), old: old, new: new}
}

func late(row event) event {
	row.seen = row.seen.Add(time.Hour)
	return row
}

func told(ms int, actor string, w what) event { return event{what: w, actor: actor, at: noon(ms)} }

func TestLinearize(t *testing.T) {
	t.Parallel()
	claim := func(ms int, actor string) event { return rowAt(ms, actor, "pending", "processing") }
	takeOver := func(ms int, actor string) event { return rowAt(ms, actor, "processing", "processing") }
	finish := func(ms int, actor string) event { return rowAt(ms, actor, "processing", "fulfilled") }
	tests := []struct {
		name   string
		events []event
		want   legality
	}{
		{"the plain life of an order", []event{inserted(0), claim(10, "a"), told(11, "a", began), finish(50, "a"), told(51, "a", said)}, legal},
		{"the line comes before the audit is read, after the commit", []event{inserted(0), claim(10, "a"), told(10, "a", began), finish(50, "a"), told(50, "a", said)}, legal},
		{"a worker dies, another takes over", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), takeOver(1000, "b"), told(1001, "b", began),
			finish(1050, "b"), told(1051, "b", said),
		}, legal},
		{"it dies before its line", []event{inserted(0), claim(10, "a"), takeOver(1000, "b"), told(1001, "b", began), finish(1050, "b"), told(1051, "b", said)}, legal},
		{"it dies after the commit", []event{inserted(0), claim(10, "a"), told(11, "a", began), finish(50, "a"), told(1001, "b", saw)}, legal},
		{"the answer to a claim is lost", []event{inserted(0), claim(10, "a"), takeOver(100, "a"), told(101, "a", began), finish(150, "a"), told(151, "a", said)}, legal},
		{"a zombie tells late", []event{
			inserted(0), claim(10, "a"), takeOver(1000, "b"), told(1001, "b", began), finish(1050, "b"), told(1051, "b", said),
			told(3000, "a", began), told(3050, "a", saw),
		}, legal},
		{"a zombie is superseded", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), takeOver(1000, "b"), told(1001, "b", began), told(1010, "a", superseded),
			finish(1050, "b"), told(1051, "b", said),
		}, legal},
		{"a copy is dropped", []event{inserted(0), claim(10, "a"), told(11, "a", began), finish(50, "a"), told(51, "a", said), told(60, "b", saw)}, legal},

		{"fulfilled twice in the table", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), finish(50, "a"), told(51, "a", said), rowAt(80, "a", "fulfilled", "fulfilled"),
		}, illegal},
		{"two say that they fulfilled it", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), takeOver(1000, "b"), told(1001, "b", began),
			finish(1050, "b"), told(1051, "b", said), told(1060, "a", said),
		}, illegal},
		{"one says so twice", []event{inserted(0), claim(10, "a"), told(11, "a", began), finish(50, "a"), told(51, "a", said), told(60, "a", said)}, illegal},
		{"somebody says so whose row it was not", []event{inserted(0), claim(10, "a"), told(11, "a", began), finish(50, "a"), told(51, "b", said)}, illegal},
		{"it is said before the commit", []event{inserted(0), claim(10, "a"), told(11, "a", began), told(40, "a", said), finish(50, "a")}, illegal},
		{"it is said and never done", []event{inserted(0), claim(10, "a"), told(11, "a", began), told(40, "a", said)}, illegal},
		{"the work begins without a claim", []event{inserted(0), claim(10, "a"), told(11, "a", began), told(12, "b", began), finish(50, "a"), told(51, "a", said)}, illegal},
		{"the work begins on another's claim", []event{
			inserted(0), claim(10, "a"), told(12, "b", began), takeOver(1000, "b"), told(1001, "b", began), finish(1050, "b"), told(1051, "b", said),
		}, illegal},
		{"the work begins before the claim", []event{inserted(0), told(5, "a", began), claim(10, "a"), finish(50, "a"), told(51, "a", said)}, illegal},
		{"the work begins twice after one claim", []event{inserted(0), claim(10, "a"), told(11, "a", began), told(20, "a", began), finish(50, "a"), told(51, "a", said)}, illegal},
		{"it is fulfilled without any work", []event{inserted(0), claim(10, "a"), finish(50, "a"), told(51, "a", said)}, illegal},
		{"it is fulfilled by a former holder", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), takeOver(1000, "b"), told(1001, "b", began), finish(1050, "a"), told(1051, "a", said),
		}, illegal},
		{"it is fulfilled by a former holder who does not say so", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), takeOver(1000, "b"), told(1001, "b", began), finish(1050, "a"),
		}, illegal},
		{"a former holder fulfils it, and the audit is read late", []event{
			inserted(0), claim(10, "a"), told(11, "a", began), late(takeOver(1000, "b")), told(1002, "b", began), late(takeOver(1010, "c")), late(finish(1050, "b")),
		}, illegal},
		{"a message is dropped before the order is fulfilled", []event{inserted(0), claim(10, "a"), told(11, "a", began), told(30, "b", saw), finish(50, "a"), told(51, "a", said)}, illegal},
		{"a holder believes that it is superseded", []event{inserted(0), claim(10, "a"), told(11, "a", began), told(30, "a", superseded), finish(50, "a"), told(51, "a", said)}, illegal},
		{"a step is left out", []event{inserted(0), rowAt(10, "a", "pending", "fulfilled")}, illegal},
		{"a step goes back", []event{inserted(0), claim(10, "a"), rowAt(20, "a", "processing", "pending")}, legal}, // the audit judges steps
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, story := linearize(noon(-10), tt.events, hears)
			if got != tt.want {
				t.Errorf("it is %d, want %d: %s", got, tt.want, tell(tt.events))
			}
			if got == illegal && !strings.Contains(story, "12:00:00.010") {
				t.Errorf("the story does not tell when it happened: %s", story)
			}
		})
	}
}

// A worker whose UPDATE had no answer finds the order fulfilled and cannot know by whom.
func TestLinearize_unknownOutcome(t *testing.T) {
	t.Parallel()
	twice := []event{
		inserted(0), rowAt(10, "a.1", "pending", "processing"), told(11, "a.1", began),
		rowAt(1000, "b.1", "processing", "processing"), told(1001, "b.1", began), rowAt(1050, "b.1", "processing", "fulfilled"), told(1051, "b.1", said),
		told(1500, "a.1", said),
	}
	var asked []string
	deaf := func(actor string, from, to time.Time) bool {
		asked = append(asked, actor)
		return actor == "a.1" && from.Equal(noon(11)) && to.Equal(noon(1500))
	}
	if got, _ := linearize(noon(-10), twice, deaf); got != unsure {
		t.Errorf("with a missed answer it is %d, want %d", got, unsure)
	}
	if len(asked) == 0 {
		t.Error("nobody asked whether answers were missed")
	}
	if got, _ := linearize(noon(-10), twice, hears); got != illegal {
		t.Errorf("without one it is %d, want %d", got, illegal)
	}
	early := append([]event{told(900, "a.1", said)}, twice[:len(twice)-1]...)
	if got, _ := linearize(noon(-10), early, func(string, time.Time, time.Time) bool { return true }); got != illegal {
		t.Errorf("said before anybody fulfilled it, it is %d, want %d", got, illegal)
	}
}
