package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"fulfillment-worker/internal/rig"
)

// event is one thing that is known to have happened, and by whom.
type event struct {
	what  what
	order int64
	actor string // a life of a worker, "worker-2.5"
	at    time.Time

	old, new string    // the step of a row
	seen     time.Time // of a row: it was committed by then
	instance string    // of a line: who wrote it, or who was reaped
	code     int       // with which a life ended; less than 0 if it was killed
}

// what happened. A row comes from the audit, all else from the workers' logs.
type what int

const (
	other what = iota
	row
	began      // the work
	said       // that the order is fulfilled, by this worker
	saw        // that the order was fulfilled before
	superseded // found that the order is somebody else's
	joined
	reaped
	started // a life, by us
	ended   // a life
)

func (w what) String() string {
	return [...]string{"other", "row", "began", "said fulfilled", "saw it fulfilled", "was superseded", "joined", "reaped", "started", "ended"}[w]
}

// heard makes an event of a line of the log of that life.
func heard(actor string, l rig.Line) event {
	e := event{order: l.OrderID, actor: actor, at: l.Time, instance: l.Instance}
	switch l.Event() {
	case rig.Processing:
		e.what = began
	case rig.Fulfilled:
		e.what = said
	case rig.Dropped:
		e.what = saw
	case rig.Superseded:
		e.what = superseded
	case rig.Joined:
		e.what = joined
	case rig.Reaped:
		e.what = reaped
	case rig.Other, rig.TakenOver:
	}
	return e
}

// record is what is known of one order that is not yet settled.
type record struct {
	wanted    time.Time // when the producer first asked for it
	inserted  bool      // and was told that it is in the table
	events    []event
	fulfilled bool
	latest    time.Time // event
}

func howEnded(code int) string {
	if code < 0 {
		return "killed"
	}
	return fmt.Sprintf("exit code %d", code)
}

// history is what happened to the orders. An order is dropped from it, and counted,
// when it has been fulfilled and quiet for so long that nothing more can be under way.
type history struct {
	settle time.Duration
	logs   bool                                       // of the workers are read
	deaf   func(life string, from, to time.Time) bool // see linearize

	mu       sync.Mutex
	base     int64 // ids from here on are ours
	records  map[int64]*record
	settled  bits
	tally    tally
	perTick  []int // orders fulfilled in each second since begin
	begin    time.Time
	watches  []*watch
	sessions map[string]string // life → its latest instance
	lives    []lifeBar
}

// lifeBar is a life of a worker.
type lifeBar struct {
	Life  string    `json:"life"`
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end"`
	How   string    `json:"how"`
}

// tally is what the settled orders add up to.
type tally struct {
	Orders    int `json:"orders"`
	Fulfilled int `json:"fulfilled"`
	Repeated  int `json:"work_run_again"` // beyond the first time
	Takeovers int `json:"takeovers"`
	Checked   int `json:"histories_checked"`
	Undecided int `json:"histories_undecided"` // the check took too long
	Unsure    int `json:"histories_unsure"`    // a worker that missed an answer said another's success

	Doubled   violations `json:"doubled"`
	Forbidden violations `json:"outside_the_contract"`
	Illegal   violations `json:"illegal_histories"`
	Failed    violations `json:"lives_ended_by_an_error"`
}

// violations are counted; the first few are kept as they are.
type violations struct {
	Count    int      `json:"count"`
	Examples []string `json:"examples,omitempty"`
}

const mostExamples = 10

func (v *violations) add(format string, args ...any) {
	v.Count++
	if len(v.Examples) < mostExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

func newHistory(settle time.Duration) *history {
	return &history{settle: settle, records: map[int64]*record{}, begin: time.Now(), sessions: map[string]string{}}
}

// start begins to count the seconds.
func (h *history) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin = time.Now()
}

// want notes that the producer asks for an order.
func (h *history) want(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.records[id] == nil && !h.settled.has(id-h.base) {
		h.records[id] = &record{wanted: time.Now(), latest: time.Now()}
		h.tally.Orders++
	}
}

// inserted notes that the order's INSERT was acknowledged.
func (h *history) inserted(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.records[id]; r != nil {
		r.inserted = true
	}
}

// add notes an event. What concerns no order of ours is only shown to the watches.
func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(e)
	if r := h.records[e.order]; r != nil && e.what != other {
		h.note(r, e)
	} else if e.order != 0 && h.settled.has(e.order-h.base) {
		h.late(e)
	}
	h.watches = slices.DeleteFunc(h.watches, func(w *watch) bool { return w.see(e) })
}

// follow keeps track of the workers' lives.
func (h *history) follow(e event) {
	switch e.what {
	case joined:
		h.sessions[e.actor] = e.instance
	case started:
		h.lives = append(h.lives, lifeBar{Life: e.actor, Begin: e.at})
	case ended:
		delete(h.sessions, e.actor)
		for n := range h.lives {
			if h.lives[n].Life == e.actor {
				h.lives[n].End, h.lives[n].How = e.at, howEnded(e.code)
			}
		}
		if e.code > 0 { // a fault kills by a signal: this is an error of the worker's own
			h.tally.Failed.add("%s: exit code %d at %s", e.actor, e.code, clock(e.at))
		}
	case other, row, began, said, saw, superseded, reaped:
	}
}

func (h *history) note(r *record, e event) {
	r.events = append(r.events, e)
	r.latest = time.Now()
	switch {
	case e.what == began && slices.ContainsFunc(r.events[:len(r.events)-1], func(p event) bool { return p.what == began }):
		h.tally.Repeated++
	case e.what == row && e.new == "fulfilled" && e.old != "fulfilled":
		if r.fulfilled {
			h.tally.Doubled.add("order %d was fulfilled again by %s at %s", e.order, e.actor, clock(e.at))
		}
		r.fulfilled = true
		h.tally.Fulfilled++
		h.tick(e.at)
	case e.what == row && e.old == "processing" && e.new == "processing":
		h.tally.Takeovers++
	}
	if e.what == row && !steps[[2]string{e.old, e.new}] {
		h.tally.Forbidden.add("order %d: %s by %s at %s", e.order, e.step(), e.actor, clock(e.at))
	}
}

// step is what a row's event tells: from "none" for an INSERT, to "none" for a DELETE.
func (e event) step() string { return cmp.Or(e.old, "none") + " → " + cmp.Or(e.new, "none") }

// steps are those of the contract, and the INSERT of a pending order.
var steps = map[[2]string]bool{
	{"", "pending"}:              true,
	{"pending", "processing"}:    true,
	{"processing", "processing"}: true,
	{"processing", "fulfilled"}:  true,
}

// late judges an event of an order that is settled: nothing may happen to it but that
// somebody sees it fulfilled.
func (h *history) late(e event) {
	switch e.what {
	case row:
		h.tally.Forbidden.add("order %d: %s by %s at %s, long after it was fulfilled", e.order, e.step(), e.actor, clock(e.at))
	case began, said, superseded:
		h.tally.Illegal.add("order %d: %s %v at %s, long after it was fulfilled", e.order, e.actor, e.what, clock(e.at))
	case other, saw, joined, reaped, started, ended:
	}
}

func (h *history) tick(at time.Time) {
	second := max(0, int(at.Sub(h.begin)/time.Second))
	for len(h.perTick) <= second {
		h.perTick = append(h.perTick, 0)
	}
	h.perTick[second]++
}

// open are the orders that are surely in the table and not known to be fulfilled.
func (h *history) open() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []int64
	for id, r := range h.records {
		if r.inserted && !r.fulfilled {
			ids = append(ids, id)
		}
	}
	return ids
}

// vanished are the open orders that are not among those that the table has.
func (h *history) vanished(table []int64) []int64 {
	return slices.DeleteFunc(h.open(), func(id int64) bool { return slices.Contains(table, id) })
}

// outstanding counts all that are asked for and not known to be fulfilled.
func (h *history) outstanding() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tally.Orders - h.tally.Fulfilled
}

// sweep settles the orders that have been quiet for long; at the end, all that are
// fulfilled. Their histories are checked, without holding anybody up.
func (h *history) sweep(end bool) {
	h.mu.Lock()
	var ids []int64
	for id, r := range h.records {
		if r.fulfilled && (end || time.Since(r.latest) > h.settle) {
			ids = append(ids, id)
		}
	}
	h.mu.Unlock()
	for _, id := range ids {
		h.settleOne(id)
	}
}

func (h *history) settleOne(id int64) {
	h.mu.Lock()
	r := h.records[id]
	delete(h.records, id)
	h.settled.set(id - h.base)
	h.mu.Unlock()
	if !h.logs {
		return
	}
	verdict, story := linearize(r.wanted, r.events, h.deaf)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tally.Checked++
	switch verdict {
	case illegal:
		h.tally.Illegal.add("order %d: %s", id, story)
	case undecided:
		h.tally.Undecided++
	case unsure:
		h.tally.Unsure++
	case legal:
	}
}

// sum is the tally so far, the throughput by seconds, and the lives.
func (h *history) sum() (tally, []int, []lifeBar) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tally, slices.Clone(h.perTick), slices.Clone(h.lives)
}

// rate is how many orders a second were fulfilled then.
func (h *history) rate(from, to time.Time) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	first, last := int(from.Sub(h.begin)/time.Second), int(to.Sub(h.begin)/time.Second)
	for second := first; second < last && second < len(h.perTick); second++ {
		n += h.perTick[second]
	}
	if last <= first {
		return 0
	}
	return float64(n) / float64(last-first)
}

// instance is the name under which that life is registered; "" if it has not joined.
func (h *history) instance(life string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[life]
}

// watch waits for events.
type watch struct {
	want func(event) bool // reports whether that was the last one
	done chan event
}

// watch shows every event from now on to want, until that says that it has seen enough.
// Want must be quick.
func (h *history) watch(want func(event) bool) *watch {
	w := &watch{want: want, done: make(chan event, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watches = append(h.watches, w)
	return w
}

// forget ends a watch that nobody waits for.
func (h *history) forget(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watches = slices.DeleteFunc(h.watches, func(other *watch) bool { return other == w })
}

func (w *watch) see(e event) bool {
	if !w.want(e) {
		return false
	}
	w.done <- e
	return true
}

// bits is a set of small numbers.
type bits []uint64

func (b bits) has(n int64) bool {
	return n >= 0 && n/64 < int64(len(b)) && b[n/64]&(1<<(n%64)) != 0
}

func (b *bits) set(n int64) {
	for int64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
