// Package model is the worker's protocol as a machine of states that a computer can
// search to the end: every order in which the steps of a few workers, a reaper and a
// reconciler on two orders may be made, and every point at which one of them may die,
// freeze, or lose an answer.
//
// steps.go is the protocol, one short function for each step, in the order of an order's
// life; state.go is what they change; promises.go is what must hold; mechanisms.go is what
// can be taken away, to see that it is needed. machine.go and explore.go are the search,
// fair.go finds runs without an end. Time is left out: what may happen at some time may
// happen at any.
//
// # What callers may rely on
//
//   - A state is a plain value: two are equal if the protocol cannot tell them apart.
//   - A step of the model changes Redis and the rows exactly as the script or statement
//     does that it is named for; a test runs both side by side.
//
// # What this package never does
//
//   - It is no part of the worker: nothing but its own tests imports it.
package model

import (
	"fmt"
	"strings"
)

// Bounds of the search. What goes wrong with a protocol goes wrong with few.
const (
	maxOrders  = 2
	maxWorkers = 3 // instances: two that run, and what one dead has left
	maxSlots   = 2 // orders in hand of each
	maxList    = 5 // messages in one list

	reconcilers = maxWorkers * maxSlots // the first one's bit in a set of Readers
)

// Message is the payload of a message: 'a' and 'b' are what the producer sends for the two
// orders, 'A' and 'B' what a reconciler sends for them. Copies of a message are equal.
type Message byte

var messages = []Message("abAB")

func (m Message) index() int   { return strings.IndexByte("abAB", byte(m)) }
func (m Message) order() int   { return m.index() % maxOrders }
func (m Message) bit() Set     { return 1 << m.index() }
func original(o int) Message   { return Message('a' + o) }
func reconciled(o int) Message { return Message('A' + o) }

// Set is a set of messages, or of those who read a row.
type Set uint8

func (s Set) has(other Set) bool { return s&other != 0 }

func (s Set) String() (text string) {
	for _, m := range messages {
		if s.has(m.bit()) {
			text += string(m)
		}
	}
	return text
}

// List is a Redis list. Its left end comes first.
type List [maxList]Message

func (l List) len() int {
	if n := strings.IndexByte(string(l[:]), 0); n >= 0 {
		return n
	}
	return maxList
}

func (l List) String() string { return string(l[:l.len()]) }

func (l *List) set(text string) {
	if len(text) > maxList {
		panic("the list is too long for the model: " + text)
	}
	*l = List{}
	for i := range text {
		l[i] = Message(text[i])
	}
}

func (l *List) pushLeft(m Message)  { l.set(string(m) + l.String()) }
func (l *List) pushRight(m Message) { l.set(l.String() + string(m)) }

func (l *List) popLeft() (m Message) {
	m = l[0]
	l.set(l.String()[1:])
	return m
}

func (l *List) popRight() (m Message) {
	text := l.String()
	l.set(text[:len(text)-1])
	return Message(text[len(text)-1])
}

// remove is LREM -1: the rightmost copy goes. There must be one.
func (l *List) remove(m Message) {
	text := l.String()
	at := strings.LastIndexByte(text, byte(m))
	l.set(text[:at] + text[at+1:])
}

func (l List) count(m Message) int { return strings.Count(l.String(), string(m)) }

// Redis is what Redis holds, key by key.
type Redis struct {
	Queue      List
	Workers    [maxWorkers]Instance
	Delayed    Set
	Returned   Set // by what is marked as come back,
	Died       Set // and of these, from a holder that died
	Deliveries [2 * maxOrders]uint8
	Dead       List
}

// Instance is what Redis knows of one worker instance.
type Instance struct {
	Lease      Lease
	Processing List
	Given      Set // what of it was given back, noted in its hash
}

// Lease is an instance's place in the registry.
type Lease uint8

// The states of a lease.
const (
	none      Lease = iota // not registered
	good                   // its deadline is to come
	over                   // its deadline has passed
	condemned              // a reaper has set it to 0
)

// Row is an order in PostgreSQL.
type Row struct {
	Status Status
	Old    bool // nobody has touched it for ORDER_TIMEOUT + LEASE_TTL

	// A version, xmin, is only ever compared with the row's present one. So the model
	// keeps who knows the present one, instead of the versions.
	Known Set
	Asked Set // who sent a claim and did not hear
	Since Set // of those, who would find the row changed since

	// What is remembered for the promises alone.
	Sent     uint8 // messages that were queued for it
	Mute     bool  // the producer died before it queued any
	Worked   uint8 // how often its work was begun
	Finished uint8
	Usurped  bool // it was fulfilled by somebody who had lost it
}

// Status is the status of a row.
type Status uint8

// The states of a row.
const (
	absent Status = iota
	pending
	processing
	fulfilled
)

// Worker is a worker process under one instance name, from the inside.
type Worker struct {
	Is   Process
	Hand [maxSlots]Delivery

	// By its own clock it has a lease.
	Leased bool
	// The answer to a claim was lost: none before the audit.
	Unsure bool
	// Half a BLMOVE: it was given up, and Redis does not know that yet.
	Blocked bool
	// Without [OneStepReap]: a reaper has seen that the lease is over.
	Sentenced bool

	// Remembered for the promises alone.
	Claimed Set  // what it holds whose rows it has claimed
	Reaped  bool // it was presumed dead
}

// Process is where a worker process is in its life.
type Process uint8

// The states of a process.
const (
	unused   Process = iota // nothing is left of it, the place is free
	starting                // without [JoinFirst]: it claims and is not registered
	running
	ending // told to stop, or its lease is lost: it claims no more
	left   // it has handed back what it held; handlers may still run
	dead
)

// Delivery is one message in a worker's hand.
type Delivery struct {
	Message Message // 0: the slot is free
	At      Phase
	Fresh   bool // nothing was kept about it when it was claimed
	Old     bool // nobody had touched the row for so long that it counts as nobody's
	Ours    bool // the row was changed since its claim had no answer
	Heir    bool // the row was in a former holder's hand
	Claimed bool // for the promises alone: the row was claimed by it
}

// Phase is the step that a delivery comes to next.
type Phase uint8

// The phases of a delivery.
const (
	claiming Phase = iota // the row, with the right to take over or without
	looking               // the row is in somebody's hand: has the message come back?
	seizing               // the row was read, and is set if it is still the same
	outrun                // somebody was quicker: the row is read again, without any right
	claimed               // the work is to begin
	working
	worked // the row is to be finished
	failed // a delivery is to be charged
	refused
	done // the message is to be forgotten
	waiting
)

// Faults are what may still go wrong.
type Faults struct {
	Crashes   uint8 // of a process
	Freezes   uint8 // of a process, for longer than a lease or an ORDER_TIMEOUT
	Lost      uint8 // answers: the server has done it, and nobody hears
	Late      uint8 // answers to a claim: it is given up, and carried out all the same
	Stops     uint8 // SIGTERM
	Failures  uint8 // of an order's work
	Copies    uint8 // the producer sends a message again
	Requeues  uint8 // of a dead letter, by a person; which is no fault, but as seldom
	Producers uint8 // die after INSERT
	Flushes   uint8 // Redis forgets all
	Rollbacks uint8 // Redis forgets its last few writes
}

// State is everything at one moment.
type State struct {
	Redis   Redis
	Rows    [maxOrders]Row
	Workers [maxWorkers]Worker
	Surveys [2]Message // what a reconciler has found missing and not yet queued
	Faults  Faults

	Saved Redis // what Redis falls back to if it forgets its last writes
	Tail  uint8 // how many there are, plus one; 0: nothing is saved

	// What is remembered for the promises alone.
	Owed   [2 * maxOrders]uint8 // charges that each message has deserved
	Forgot bool                 // Redis has forgotten something
}

// nowhere reports whether Redis has no message for the order.
func (r *Redis) nowhere(o int) bool {
	return r.copies(original(o)) == 0 && r.copies(reconciled(o)) == 0
}

// copies is how often Redis has the message.
func (r *Redis) copies(m Message) int {
	n := r.Queue.count(m) + r.Dead.count(m)
	for i := range r.Workers {
		n += r.Workers[i].Processing.count(m)
	}
	if r.Delayed.has(m.bit()) {
		n++
	}
	return n
}

// String is the state on one line, for people who follow a counterexample.
func (s State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "queue[%v]", s.Redis.Queue)
	for i, w := range s.Workers {
		at := s.Redis.Workers[i]
		if w == (Worker{}) && at == (Instance{}) {
			continue
		}
		fmt.Fprintf(&b, " w%d{%v, lease %v, list[%v]", i, w.Is, at.Lease, at.Processing)
		if at.Given != 0 {
			fmt.Fprintf(&b, ", given %v", at.Given)
		}
		for _, d := range w.Hand {
			if d.Message != 0 {
				fmt.Fprintf(&b, ", %c %v", d.Message, d.At)
			}
		}
		b.WriteString("}")
	}
	if s.Redis.Delayed != 0 {
		fmt.Fprintf(&b, " delayed[%v]", s.Redis.Delayed)
	}
	if s.Redis.Returned != 0 {
		fmt.Fprintf(&b, " returned[%v, died %v]", s.Redis.Returned, s.Redis.Died)
	}
	if s.Redis.Dead != (List{}) {
		fmt.Fprintf(&b, " dead[%v]", s.Redis.Dead)
	}
	for _, m := range messages {
		if n := s.Redis.Deliveries[m.index()]; n > 0 {
			fmt.Fprintf(&b, " %c charged %d", m, n)
		}
	}
	for o, r := range s.Rows {
		if r.Status != absent {
			fmt.Fprintf(&b, " row %c %v", original(o), r.Status)
		}
	}
	return b.String()
}

func (l Lease) String() string { return [...]string{"none", "good", "over", "condemned"}[l] }

func (s Status) String() string {
	return [...]string{"absent", "pending", "processing", "fulfilled"}[s]
}

func (p Process) String() string {
	return [...]string{"unused", "starting", "running", "ending", "left", "dead"}[p]
}

func (p Phase) String() string {
	return [...]string{
		"claiming", "looking", "seizing", "outrun", "claimed", "working", "worked", "failed", "refused", "done", "waiting",
	}[p]
}
