package model

import (
	"fmt"
	"strings"
	"testing"
)

// prompt leaves out the slow nets, so that the fast ones are seen to hold alone: nobody
// waits until a row counts as nobody's, nobody looks for lists without a registration.
const prompt = OrphanSearch | Patience

// themes are the worlds that are searched: one thing goes wrong in each, or two.
var themes = map[string]Config{
	"crashes": {
		Orders: "ab", Processes: 2, Slots: 1, Max: 2, Without: prompt,
		May: Faults{Crashes: 1, Lost: 1},
	},
	"two crashes": {
		Orders: "a", Processes: 2, Slots: 1, Max: 3, Without: prompt,
		May: Faults{Crashes: 2, Lost: 1},
	},
	"a crash with two orders in hand": {
		Orders: "ab", Processes: 1, Slots: 2, Max: 2, Without: prompt,
		May: Faults{Crashes: 1, Lost: 1},
	},
	"lost answers": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Without: prompt,
		May: Faults{Lost: 3, Failures: 1},
	},
	"a claim that comes late": {
		Orders: "ab", Processes: 1, Slots: 1, Max: 2, Without: Patience,
		May: Faults{Late: 1, Crashes: 1},
	},
	"a late claim that finds no slot": {
		Orders: "ab", Processes: 1, Slots: 1, Max: 2, Without: Patience,
		May: Faults{Late: 1, Copies: 1},
	},
	"a frozen worker": {
		Orders: "a", Processes: 2, Slots: 1, Max: 3, Without: Patience,
		May: Faults{Freezes: 1, Crashes: 1},
	},
	"a frozen worker with two orders in hand": {
		Orders: "ab", Processes: 1, Slots: 2, Max: 2, Without: Patience,
		May: Faults{Freezes: 1},
	},
	"a frozen worker and lost answers": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Without: Patience,
		May: Faults{Freezes: 1, Lost: 2},
	},
	"a hand-back and a crash": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Without: prompt,
		May: Faults{Stops: 1, Crashes: 1},
	},
	"hand-backs": {
		Orders: "ab", Processes: 2, Slots: 1, Max: 2, Without: prompt,
		May: Faults{Stops: 1},
	},
	"two orders handed back": {
		Orders: "ab", Processes: 1, Slots: 2, Max: 2, Without: prompt,
		May: Faults{Stops: 1},
	},
	"hand-backs in turn": {
		Orders: "ab", Processes: 1, Slots: 1, Max: 2, Without: prompt, Promises: InTurn,
		May: Faults{Stops: 1},
	},
	"lost answers in turn": {
		Orders: "ab", Processes: 1, Slots: 1, Max: 2, Without: prompt, Promises: InTurn,
		May: Faults{Lost: 3},
	},
	"copies": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Without: prompt, Promises: WorkedOnce,
		May: Faults{Copies: 2},
	},
	"copies and a crash": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2,
		May: Faults{Copies: 1, Crashes: 1},
	},
	"copies that fail": {
		Orders: "a", Processes: 2, Slots: 1, Max: 3,
		May: Faults{Copies: 1, Failures: 2},
	},
	"copies in one hand": {
		Orders: "a", Processes: 1, Slots: 2, Max: 2,
		May: Faults{Copies: 1, Failures: 1},
	},
	"copies handed back": {
		Orders: "a", Processes: 1, Slots: 2, Max: 2,
		May: Faults{Copies: 1, Stops: 1},
	},
	"copies that are refused": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Refused: "a",
		May: Faults{Copies: 1, Crashes: 1},
	},
	"failures": {
		Orders: "ab", Processes: 2, Slots: 1, Max: 2, Refused: "b", Without: prompt,
		May: Faults{Failures: 2, Lost: 1},
	},
	"a dead letter that is requeued": {
		Orders: "ab", Processes: 2, Slots: 1, Max: 2, Without: prompt,
		May: Faults{Failures: 2, Requeues: 1},
	},
	"a dead letter that is requeued, and a crash": {
		Orders: "a", Processes: 2, Slots: 1, Max: 1, Without: prompt,
		May: Faults{Failures: 1, Requeues: 2, Crashes: 1, Lost: 1},
	},
	"a dead letter that is requeued beside a copy": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Refused: "a",
		May: Faults{Copies: 1, Requeues: 1, Failures: 1},
	},
	"an order that kills": {
		Orders: "ab", Processes: 1, Slots: 2, Max: 2, Killers: "a", Reconcilers: 1, Without: prompt, Promises: FewDeaths,
	},
	"two copies that kill": {
		Orders: "a", Processes: 1, Slots: 2, Max: 2, Killers: "a",
		May: Faults{Copies: 1},
	},
	"a producer that dies": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Reconcilers: 2, Without: prompt,
		May: Faults{Producers: 1},
	},
	"FLUSHALL": {
		Orders: "a", Processes: 2, Slots: 1, Max: 2, Reconcilers: 1, Without: Patience,
		May: Faults{Flushes: 1},
	},
	"FLUSHALL and a crash": {
		Orders: "a", Processes: 1, Slots: 1, Max: 2, Reconcilers: 1, Without: Patience,
		May: Faults{Flushes: 1, Crashes: 1},
	},
	"FLUSHALL between two reconcilers": {
		Orders: "a", Processes: 1, Slots: 1, Max: 2, Reconcilers: 2,
		May: Faults{Flushes: 1},
	},
	"the last writes are forgotten": {
		Orders: "a", Processes: 1, Slots: 1, Max: 2, Reconcilers: 1,
		May: Faults{Rollbacks: 1, Crashes: 1},
	},
}

// search looks for a promise that is broken, and says in how many states it did.
func search(c Config) (states int, broken *Breach[State, Step]) {
	g, broken := Explore(c.First(), c.Next, c.Broken)
	if broken == nil {
		broken = g.Stuck(c.End, Step.Fault)
	}
	return len(g.States), broken
}

// TestProtocol keeps every promise in every state of every theme, and comes from each of
// them to a good end if nothing goes wrong any more.
func TestProtocol(t *testing.T) {
	t.Parallel()
	for name, theme := range themes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, broken := search(theme)
			t.Logf("%d states", states)
			if broken != nil {
				t.Error(story(theme, broken))
			}
		})
	}
}

// spare is what no promise needs. A reconciler that does not look again queues a message
// for an order that has moved on since: it is a copy, and copies are harmless.
const spare = SurveyAgain

func TestProtocol_spares(t *testing.T) {
	t.Parallel()
	for name, theme := range themes {
		if theme.Reconcilers == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theme.Without |= spare
			if states, broken := search(theme); broken != nil {
				t.Errorf("%d states, %s", states, story(theme, broken))
			}
		})
	}
}

// TestProtocol_hasNetsUnderNets takes fast mechanisms away under which there is a slow one:
// nothing breaks then. (That the fast one is needed where there is no slow one is shown
// above: in the themes that are prompt.)
func TestProtocol_hasNetsUnderNets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fast, slow Mechanism
		theme      string
	}{
		{EmptyFirst, OrphanSearch, "a crash with two orders in hand"},
		{OwnClaim, Patience, "lost answers"},
		{ReapMark, Patience, "crashes"},
		{LeaveMark, Patience, "hand-backs"},
		{RetryMark, Patience, "failures"},
		{SurveyMark, Patience, "FLUSHALL and a crash"},
		{RequeueMark, Patience, "a dead letter that is requeued"},
	} {
		t.Run(tt.fast.String(), func(t *testing.T) {
			t.Parallel()
			theme := themes[tt.theme]
			theme.Without = theme.Without&^tt.slow | tt.fast
			if states, broken := search(theme); broken != nil {
				t.Errorf("%d states, %s", states, story(theme, broken))
			}
		})
	}
}

// TestProtocol_needsEachMechanism takes the mechanisms away, one by one, and sees which
// promise goes with it.
func TestProtocol_needsEachMechanism(t *testing.T) {
	t.Parallel()
	tests := []struct {
		without Mechanism
		theme   string
		breaks  string
	}{
		{TokenGuard, "a frozen worker", "a superseded worker cannot finish"},
		{SeizeGuard, "a frozen worker", "only legal steps"},
		{TakeOver, "crashes", "every order comes to its end"},
		{MarkNeeded, "copies", "a copy is not worked twice"},
		{LookGate, "a frozen worker", "every order comes to its end"},
		{SeenFirst, "a frozen worker", "every order comes to its end"},
		{OrphanGate, "a frozen worker with two orders in hand", "work begins only for a message that is held"},
		{OwnClaim, "lost answers", "every order comes to its end"},
		{ReadAgain, "lost answers", "only failures, and deaths of holders, are charged"},
		{CommitFirst, "crashes", "nothing is lost"},
		{JoinFirst, "two crashes", "every order comes to its end"},
		{Audit, "lost answers", "every order comes to its end"},
		{AuditFirst, "lost answers in turn", "first in, first out"},
		{Reaping, "crashes", "every order comes to its end"},
		{Condemning, "a frozen worker", "work begins only for a message that is held"},
		{OneStepReap, "a frozen worker", "work begins only for a message that is held"},
		{EmptyFirst, "a crash with two orders in hand", "every order comes to its end"},
		{BeatGate, "a frozen worker", "work begins only for a message that is held"},
		{StartGate, "a frozen worker", "work begins only for a message that is held"},
		{OwnClock, "a frozen worker", "work begins only for a message that is held"},
		{HeirPays, "crashes", "only failures, and deaths of holders, are charged"},
		{ChargeDeaths, "an order that kills", "an order that kills its workers is given up"},
		{ChargeTwinOnce, "two copies that kill", "only failures, and deaths of holders, are charged"},
		{MarkOnce, "crashes", "only failures, and deaths of holders, are charged"},
		{FirstMark, "a hand-back and a crash", "only failures, and deaths of holders, are charged"},
		{ReapMark, "crashes", "every order comes to its end"},
		{LeaveMark, "hand-backs", "every order comes to its end"},
		{RetryMark, "failures", "every order comes to its end"},
		{SurveyMark, "FLUSHALL and a crash", "every order comes to its end"},
		{RequeueMark, "a dead letter that is requeued", "every order comes to its end"},
		{FrontOfQueue, "hand-backs in turn", "first in, first out"},
		{PutOffFree, "copies", "only failures, and deaths of holders, are charged"},
		{AckClears, "failures", "every order comes to its end"},
		{AckLeased, "a frozen worker with two orders in hand", "every order comes to its end"},
		{CopyAcked, "copies", "only failures, and deaths of holders, are charged"},
		{OrphanSearch, "a claim that comes late", "every order comes to its end"},
		{Patience, "copies that fail", "every order comes to its end"},
		{Reconciler, "FLUSHALL", "every order comes to its end"},
		{SurveyDead, "an order that kills", "an order that kills its workers is given up"},
	}
	shown := spare
	for _, tt := range tests {
		shown |= tt.without
		t.Run(tt.without.String(), func(t *testing.T) {
			t.Parallel()
			theme := themes[tt.theme]
			theme.Without |= tt.without
			states, broken := search(theme)
			if broken == nil {
				t.Fatalf("nothing breaks in %d states", states)
			}
			t.Logf("%d states, %s", states, story(theme, broken))
			if !strings.HasPrefix(broken.Promise, tt.breaks) {
				t.Errorf("it breaks %q, want %q", broken.Promise, tt.breaks)
			}
		})
	}
	if missing := All &^ shown; missing != 0 {
		t.Errorf("nobody has shown what %v is for", missing)
	}
}

// story tells a breach step by step.
func story(c Config, b *Breach[State, Step]) string {
	var s strings.Builder
	before := c.First()
	fmt.Fprintf(&s, "%d steps to break: %s\n%-44s %v\n", len(b.Steps), b.Promise, "", before)
	for n, step := range b.Steps {
		fmt.Fprintf(&s, "%-44s %v\n", c.Tell(step, before), b.States[n])
		before = b.States[n]
	}
	return s.String()
}
