package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"fulfillment-worker/internal/rig"
)

// lived is a history in which order 17 was wanted, and in which those events happened to
// it.
func lived(events ...event) *history {
	h := newHistory(time.Minute)
	h.base, h.deaf, h.logs = 10, hears, true
	h.want(17)
	h.records[17].wanted = noon(-10)
	for _, e := range events {
		e.order = 17
		h.add(e)
	}
	return h
}

var plainLife = []event{
	inserted(0), rowAt(10, "a.1", "pending", "processing"), told(11, "a.1", began),
	rowAt(50, "a.1", "processing", "fulfilled"), told(51, "a.1", said),
}

func TestHistory_tallies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                                          string
		events                                        []event
		fulfilled, doubled, forbidden, illegal, again int
	}{
		{"a plain life", plainLife, 1, 0, 0, 0, 0},
		{"not fulfilled", plainLife[:3], 0, 0, 0, 0, 0},
		{"fulfilled again", append(plainLife[:5:5], rowAt(60, "a.1", "fulfilled", "processing"), rowAt(70, "b.1", "processing", "fulfilled")), 2, 1, 1, 1, 0},
		{"touched when it was fulfilled", append(plainLife[:5:5], rowAt(60, "b.1", "fulfilled", "fulfilled")), 1, 0, 1, 1, 0},
		{"set back", append(plainLife[:3:3], rowAt(20, "a.1", "processing", "pending")), 0, 0, 1, 0, 0},
		{"past a step", []event{inserted(0), rowAt(10, "a.1", "pending", "fulfilled")}, 1, 0, 1, 1, 0},
		{"deleted", append(plainLife[:3:3], rowAt(20, "a.1", "processing", "")), 0, 0, 1, 0, 0},
		{"deleted when it was fulfilled", append(plainLife[:5:5], rowAt(60, "b.1", "fulfilled", "")), 1, 0, 1, 0, 0},
		{"a foreign status", []event{inserted(0), rowAt(10, "a.1", "pending", "failed")}, 0, 0, 1, 0, 0},
		{"inserted as fulfilled", []event{rowAt(0, "chaos", "", "fulfilled")}, 1, 0, 1, 1, 0},
		{"worked twice", []event{
			inserted(0), rowAt(10, "a.1", "pending", "processing"), told(11, "a.1", began), rowAt(30, "b.1", "processing", "processing"),
			told(31, "b.1", began), rowAt(50, "b.1", "processing", "fulfilled"), told(51, "b.1", said),
		}, 1, 0, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := lived(tt.events...)
			h.sweep(true)
			got, _, _ := h.sum()
			if got.Fulfilled != tt.fulfilled || got.Doubled.Count != tt.doubled || got.Forbidden.Count != tt.forbidden ||
				got.Illegal.Count != tt.illegal || got.Repeated != tt.again {
				t.Errorf("the tally is %+v", got)
			}
		})
	}
}

// What happens to an order whose history is closed is judged all the same.
func TestHistory_late(t *testing.T) {
	t.Parallel()
	tests := []struct {
		event              event
		forbidden, illegal int
	}{
		{told(9000, "b.1", saw), 0, 0},
		{told(9000, "b.1", began), 0, 1},
		{told(9000, "b.1", said), 0, 1},
		{rowAt(9000, "b.1", "fulfilled", "processing"), 1, 0},
	}
	for _, tt := range tests {
		h := lived(plainLife...)
		h.sweep(true)
		if len(h.records) != 0 {
			t.Fatal("the order is not closed")
		}
		tt.event.order = 17
		h.want(17) // a late copy
		h.add(tt.event)
		if got, _, _ := h.sum(); got.Orders != 1 || got.Forbidden.Count != tt.forbidden || got.Illegal.Count != tt.illegal {
			t.Errorf("after a late %v the tally is %+v", tt.event.what, got)
		}
	}
}

// Where nobody's log is read, rows alone are no history to check.
func TestHistory_withoutLogs(t *testing.T) {
	t.Parallel()
	h := lived(inserted(0), rowAt(10, "a", "pending", "processing"), rowAt(50, "a", "processing", "fulfilled"))
	h.logs = false
	h.sweep(true)
	if got, _, _ := h.sum(); got.Checked != 0 || got.Illegal.Count != 0 || got.Fulfilled != 1 {
		t.Errorf("the tally is %+v", got)
	}
}

func TestHistory_keepsWhatIsNotQuiet(t *testing.T) {
	t.Parallel()
	h := lived(plainLife...)
	h.sweep(false)
	if len(h.records) != 1 {
		t.Error("an order is closed as soon as it is fulfilled")
	}
	h.records[17].latest = time.Now().Add(-2 * time.Minute)
	h.sweep(false)
	if len(h.records) != 0 {
		t.Error("an order that has been quiet for long is not closed")
	}
	h = lived(plainLife[:3]...)
	h.sweep(true)
	if len(h.records) != 1 {
		t.Error("an order that is not fulfilled is closed")
	}
}

// Only what was acknowledged must be there, and what is not fulfilled must be in the table.
func TestHistory_vanished(t *testing.T) {
	t.Parallel()
	h := lived(plainLife[:3]...)
	if got := h.vanished(nil); len(got) != 0 {
		t.Errorf("an order whose INSERT was not acknowledged has vanished: %v", got)
	}
	h.inserted(17)
	if got := h.vanished([]int64{17}); len(got) != 0 {
		t.Errorf("an order in the table has vanished: %v", got)
	}
	if got := h.vanished([]int64{18}); len(got) != 1 || got[0] != 17 {
		t.Errorf("vanished are %v, want 17", got)
	}
}

func TestHistory_failedLives(t *testing.T) {
	t.Parallel()
	h := newHistory(time.Minute)
	for code, want := range map[int]int{-1: 0, 0: 0, 2: 1} {
		h.tally = tally{}
		h.add(event{what: ended, actor: "a.1", code: code, at: noon(0)})
		if got, _, _ := h.sum(); got.Failed.Count != want {
			t.Errorf("the exit code %d is %d errors, want %d", code, got.Failed.Count, want)
		}
	}
}

func TestHistory_rate(t *testing.T) {
	t.Parallel()
	h := newHistory(time.Minute)
	for n := range 30 {
		h.tick(h.begin.Add(time.Duration(n) * 100 * time.Millisecond))
	}
	if got := h.rate(h.begin.Add(time.Second), h.begin.Add(3*time.Second)); got != 10 {
		t.Errorf("it is %v a second, want 10", got)
	}
	if got := h.rate(h.begin.Add(2*time.Second), h.begin.Add(6*time.Second)); got != 2.5 {
		t.Errorf("with nothing in three of four seconds it is %v, want 2.5", got)
	}
	if got := h.rate(h.begin, h.begin); got != 0 {
		t.Errorf("in no time it is %v", got)
	}
}

func TestCures(t *testing.T) {
	t.Parallel()
	h := newHistory(time.Minute)
	n := &nemesis{history: h, env: given{}}
	took := func(c *cure) time.Duration {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		d, ok := c.wait(ctx)
		if !ok {
			return -1
		}
		return d
	}
	at := func(ms int, order int64, actor string, w what) {
		h.add(event{what: w, order: order, actor: actor, at: noon(ms)})
	}

	c := n.heirs([]string{message(1, 0), message(2, 0), "poison"}, "a.1", noon(0))
	at(200, 1, "b.1", began)
	at(250, 2, "a.1", began) // the dead one's last words
	if got := took(c); got != -1 {
		t.Errorf("with one order in nobody's hand it has healed after %v", got)
	}
	at(-5, 2, "b.1", began) // before the death
	if got := took(c); got != -1 {
		t.Errorf("with one order in nobody's hand since it has healed after %v", got)
	}
	at(300, 2, "b.1", saw)
	if got := took(c); got != 300*time.Millisecond {
		t.Errorf("it has healed after %v, want 300ms", got)
	}
	if n.heirs([]string{"poison"}, "a.1", noon(0)) != nil {
		t.Error("there are heirs where no order was in hand")
	}

	c = n.everyone(noon(0)) // the workers are not ours: anybody will do
	h.add(event{what: row, order: 3, old: "processing", new: "fulfilled", at: noon(-1)})
	h.add(event{what: row, order: 3, old: "pending", new: "processing", at: noon(50)})
	if got := took(c); got != -1 {
		t.Errorf("nothing is fulfilled, and it has healed after %v", got)
	}
	h.add(event{what: row, order: 3, old: "processing", new: "fulfilled", at: noon(70)})
	if got := took(c); got != 70*time.Millisecond {
		t.Errorf("it has healed after %v, want 70ms", got)
	}
	if len(h.watches) != 0 {
		t.Errorf("%d watches are left", len(h.watches))
	}
}

// A worker that fulfils other orders has not found the one that it does not know of.
func TestCleared(t *testing.T) {
	t.Parallel()
	h := lived(inserted(0))
	h.want(18)
	h.add(event{what: began, order: 18, actor: "worker.1", at: noon(10)})
	i := &injection{nemesis: &nemesis{history: h}, worker: &puppet{}}
	c := i.cleared([]string{message(17, 0), message(18, 0)}, noon(20))
	h.add(event{what: said, order: 18, actor: "worker.1", at: noon(30)})
	if len(c.watch.done) != 0 {
		t.Error("it has healed, and one order in hand is not begun")
	}
	h.add(event{what: began, order: 17, actor: "worker.1", at: noon(50)})
	if d, ok := c.wait(t.Context()); !ok || d != 30*time.Millisecond {
		t.Errorf("it has healed after %v, want 30ms", d)
	}
	c = i.cleared([]string{message(17, 0)}, noon(60))
	h.add(event{what: said, order: 17, actor: "worker.1", at: noon(70)})
	if len(c.watch.done) != 1 {
		t.Error("all in hand is begun, and that the worker goes on does not heal it")
	}
}

func TestHeard(t *testing.T) {
	t.Parallel()
	tests := []struct {
		want what
		text string
	}{
		{began, "Processing order 17"},
		{said, "Order 17 fulfilled"},
		{saw, "Order was fulfilled before, message dropped"},
		{saw, "Order was fulfilled by its new holder, nothing changed"},
		{superseded, "Order was taken over, nothing changed"},
		{joined, "Fulfillment Worker started, consuming from fulfillment_queue"},
		{joined, "joined anew"},
		{reaped, "reaped a dead worker"},
		{other, "Order 17 taken over from a former holder"},
		{other, "anything else"},
	}
	for _, tt := range tests {
		if got := heard("a.1", rig.Line{Message: tt.text}).what; got != tt.want {
			t.Errorf("%q is %v, want %v", tt.text, got, tt.want)
		}
	}
}

type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	read := &net.OpError{Op: "read", Err: errors.New("connection reset")}
	tests := []struct {
		name   string
		failed bool
		err    error
		want   said3
	}{
		{"acknowledged", refusedByRedis(nil), nil, said3{OK: 1}},
		{"Redis refuses", refusedByRedis(refusal("OOM")), refusal("OOM"), said3{Failed: 1}},
		{"Redis is not there", refusedByRedis(dial), dial, said3{Failed: 1}},
		{"Redis breaks off", refusedByRedis(read), read, said3{Unknown: 1}},
		{"Redis is silent", refusedByRedis(context.DeadlineExceeded), context.DeadlineExceeded, said3{Unknown: 1}},
		{"PostgreSQL refuses", refusedByPostgres(&pgconn.PgError{Code: "53300"}), errors.New("53300"), said3{Failed: 1}},
		{"PostgreSQL shuts down", refusedByPostgres(&pgconn.PgError{Code: "57P01"}), errors.New("57P01"), said3{Unknown: 1}},
		{"PostgreSQL is not there", refusedByPostgres(dial), dial, said3{Failed: 1}},
		{"PostgreSQL breaks off", refusedByPostgres(read), read, said3{Unknown: 1}},
	}
	for _, tt := range tests {
		var o outcomes
		o.note(tt.failed, tt.err)
		if got := o.said(); got != tt.want {
			t.Errorf("%s: the outcome is %v, want %v", tt.name, got, tt.want)
		}
	}
}
