package model

import (
	"slices"
	"strings"
)

// steps is the protocol. A step belongs to one of so many actors; it returns false where
// it cannot be made now. A call may lose its answer. A fault is taken from those that are
// left.
var steps = []struct {
	does  string
	of    actors
	make  func(*world, int) bool
	call  bool
	fault func(*Faults) *uint8
}{
	{does: "the producer inserts order", of: byOrder, make: (*world).insert},
	{does: "the producer queues order", of: byOrder, make: (*world).push},

	{does: "join: worker", of: byWorker, make: (*world).join},
	{does: "join, late: worker", of: byWorker, make: (*world).joinLate},
	{does: "beat: worker", of: byWorker, make: (*world).beat},
	{does: "claim: worker", of: byWorker, make: (*world).claim, call: true},
	{does: "audit: worker", of: byWorker, make: (*world).audit},

	{does: "claim the row:", of: byDelivery, make: (*world).claimRow, call: true},
	{does: "look for the mark:", of: byDelivery, make: (*world).look},
	{does: "take the row over:", of: byDelivery, make: (*world).seize, call: true},
	{does: "start:", of: byDelivery, make: (*world).start, call: true},
	{does: "the work succeeds:", of: byDelivery, make: (*world).succeed},
	{does: "finish the row:", of: byDelivery, make: (*world).finish, call: true},
	{does: "ack:", of: byDelivery, make: (*world).ack, call: true},
	{does: "put off:", of: byDelivery, make: (*world).putOff, call: true},
	{does: "retry:", of: byDelivery, make: (*world).retry, call: true},
	{does: "dead letter:", of: byDelivery, make: (*world).bury, call: true},
	{does: "give up:", of: byDelivery, make: (*world).giveUp},
	{does: "due: message", of: byMessage, make: (*world).due},
	{does: "leave: worker", of: byWorker, make: (*world).leave},

	{does: "reap: worker", of: byWorker, make: (*world).reap},
	{does: "see that the lease is over: worker", of: byWorker, make: (*world).sentence},
	{does: "find an orphan: worker", of: byWorker, make: (*world).orphan},
	{does: "survey: there is no message of order", of: bySurvey, make: (*world).survey},
	{does: "reconcile: message", of: byReconciler, make: (*world).reconcile},

	{does: "time: the lease runs out of worker", of: byWorker, make: (*world).lapse},
	{does: "time: nobody has touched order", of: byOrder, make: (*world).age},
	{does: "the work kills its worker:", of: byDelivery, make: (*world).kill},
	{does: "the work refuses:", of: byDelivery, make: (*world).refuse},
	{does: "Redis drops the blocked claim of worker", of: byWorker, make: (*world).unblock},

	{does: "NOTHING HEARD of a claim of the row:", of: byDelivery, make: (*world).doubt, fault: func(f *Faults) *uint8 { return &f.Lost }},
	{does: "CRASH of worker", of: byWorker, make: (*world).crash, fault: func(f *Faults) *uint8 { return &f.Crashes }},
	{does: "FREEZE of worker", of: byWorker, make: (*world).freeze, fault: func(f *Faults) *uint8 { return &f.Freezes }},
	{does: "FREEZE of all who have order", of: byOrder, make: (*world).dawdle, fault: func(f *Faults) *uint8 { return &f.Freezes }},
	{does: "NO ANSWER YET to a claim of worker", of: byWorker, make: (*world).block, fault: func(f *Faults) *uint8 { return &f.Late }},
	{does: "LATE claim of worker", of: byWorker, make: (*world).lateClaim, fault: paid},
	{does: "SIGTERM for worker", of: byWorker, make: (*world).stop, fault: func(f *Faults) *uint8 { return &f.Stops }},
	{does: "THE WORK FAILS:", of: byDelivery, make: (*world).fail, fault: func(f *Faults) *uint8 { return &f.Failures }},
	{does: "COPY: the producer queues again order", of: byOrder, make: (*world).pushAgain, fault: func(f *Faults) *uint8 { return &f.Copies }},
	{does: "A PERSON REQUEUES message", of: byMessage, make: (*world).requeue, fault: func(f *Faults) *uint8 { return &f.Requeues }},
	{does: "DEATH of the producer of order", of: byOrder, make: (*world).producerDies, fault: func(f *Faults) *uint8 { return &f.Producers }},
	{does: "FLUSHALL", of: alone, make: (*world).flush, fault: func(f *Faults) *uint8 { return &f.Flushes }},
	{does: "Redis's last save is now", of: alone, make: (*world).save, fault: func(f *Faults) *uint8 { return &f.Rollbacks }},
	{does: "REDIS FORGETS its last writes", of: alone, make: (*world).rollBack, fault: paid},
}

// ---- The producer

// insert is INSERT … 'pending'.
func (w *world) insert(o int) bool {
	if w.Rows[o].Status != absent {
		return false
	}
	w.Rows[o].Status = pending
	return true
}

// push is the producer's LPUSH.
func (w *world) push(o int) bool {
	r := &w.Rows[o]
	if r.Status == absent || r.Sent > 0 || r.Mute {
		return false
	}
	w.send(o)
	return true
}

func (w *world) pushAgain(o int) bool {
	if w.Rows[o].Sent == 0 {
		return false
	}
	w.send(o)
	return true
}

func (w *world) send(o int) {
	w.Redis.Queue.pushLeft(original(o))
	w.Rows[o].Sent++
}

func (w *world) producerDies(o int) bool {
	r := &w.Rows[o]
	if r.Status == absent || r.Sent > 0 || r.Mute {
		return false
	}
	r.Mute = true
	return true
}

// ---- A worker's session

// join is join.lua: the instance is registered, and may claim from then on. Its name is
// new, which here means that nothing is left of who had the place before.
func (w *world) join(i int) bool {
	run := 0
	for j, p := range w.Workers {
		if j < i && w.vacant(j) {
			return false // the places are alike: the first one does for all
		}
		if p.Is == starting || p.Is == running || p.Is == ending {
			run++
		}
	}
	if !w.vacant(i) || run == w.Processes {
		return false
	}
	w.Workers[i].Is = starting
	return w.without(JoinFirst) || w.joinLate(i)
}

func (w *world) vacant(i int) bool {
	return w.Workers[i].Is == unused && w.untraced(i)
}

// untraced reports whether Redis has nothing of an instance, and nothing to remember.
func (w *world) untraced(i int) bool {
	return w.Redis.Workers[i] == Instance{} && w.Saved.Workers[i] == Instance{}
}

func (w *world) joinLate(i int) bool {
	if w.Workers[i].Is != starting {
		return false
	}
	w.Workers[i].Is, w.Workers[i].Leased, w.Redis.Workers[i].Lease = running, true, good
	return true
}

// beat is beat.lua: it renews the lease, over or not; but if the lease is gone, the
// session ends, for what it held is somebody else's.
func (w *world) beat(i int) bool {
	p, at := &w.Workers[i], &w.Redis.Workers[i]
	switch {
	case p.Is != running && p.Is != ending:
		return false
	case at.Lease == good:
		return false
	case at.Lease == over, w.without(BeatGate):
		at.Lease, p.Leased = good, true
	case p.Is == running:
		p.Is = ending
	default:
		return false
	}
	return true
}

// claim is BLMOVE and claim.lua: the oldest waiting message goes into the own list.
func (w *world) claim(i int) bool {
	p := &w.Workers[i]
	slot := w.freeSlot(i)
	if p.Is != running && p.Is != starting || p.Unsure || slot == nil || w.Redis.Queue.len() == 0 {
		return false
	}
	m := w.Redis.Queue.popRight()
	w.Redis.Workers[i].Processing.pushLeft(m)
	*slot = Delivery{Message: m, Fresh: !w.Redis.Returned.has(m.bit()) && w.Redis.Deliveries[m.index()] == 0}
	return true
}

func (w *world) freeSlot(i int) *Delivery {
	for k := range w.Slots {
		if w.Workers[i].Hand[k].Message == 0 {
			return &w.Workers[i].Hand[k]
		}
	}
	return nil
}

// audit is LRANGE and release.lua: what is in the own list and in no hand is a stray. It
// is adopted, or goes back to the queue if no slot is free.
func (w *world) audit(i int) bool {
	if w.Workers[i].Is != running || w.without(Audit) {
		return false
	}
	hand := map[Message]int{}
	for _, d := range w.Workers[i].Hand {
		hand[d.Message]++
	}
	found := w.Workers[i].Unsure
	w.Workers[i].Unsure = false
	list := &w.Redis.Workers[i].Processing
	for _, m := range []Message(list.String()) {
		if hand[m] > 0 {
			hand[m]--
			continue
		}
		found = true
		if slot := w.freeSlot(i); slot != nil {
			*slot = Delivery{Message: m}
		} else {
			w.giveBack(m)
			list.remove(m)
		}
	}
	return found
}

// giveBack queues a message that was queued before.
func (w *world) giveBack(m Message) {
	if w.without(FrontOfQueue) {
		w.Redis.Queue.pushLeft(m)
	} else {
		w.Redis.Queue.pushRight(m)
	}
}

// ---- An order's life

// hand is a delivery, where it is in its worker's hand, and what it is about.
type hand struct {
	*Delivery
	worker int
	self   Set // it among those who read rows
	row    *Row
}

func (w *world) hand(n int) hand {
	i := n / maxSlots
	d := &w.Workers[i].Hand[n%maxSlots]
	return hand{d, i, 1 << n, &w.Rows[d.Message.order()]}
}

// at returns a delivery if it is in one of the phases.
func (w *world) at(n int, phases ...Phase) (hand, bool) {
	d := w.Workers[n/maxSlots].Hand[n%maxSlots]
	if d.Message == 0 || !slices.Contains(phases, d.At) {
		return hand{}, false
	}
	return w.hand(n), true
}

// claimRow is Claim's first UPDATE, which takes a pending order, and its look at an order
// that is not.
func (w *world) claimRow(n int) bool {
	d, ok := w.at(n, claiming, outrun)
	if !ok {
		return false
	}
	switch r := d.row; {
	case r.Status == pending:
		w.update(d, processing)
		d.At = claimed
	case r.Status == fulfilled && w.without(CopyAcked):
		d.At = failed
	case r.Status == fulfilled:
		d.At = done
	case d.At == claiming:
		r.Known |= d.self
		d.Old = r.Old
		d.Ours = r.Asked.has(d.self) && r.Since.has(d.self)
		d.At = looking
	default:
		d.At = waiting
	}
	d.heard()
	return true
}

// update is an UPDATE that is carried out: nobody else knows the row any more.
func (w *world) update(d hand, s Status) {
	d.row.Status, d.row.Old = s, false
	d.row.Known = d.self
	d.row.Since |= d.row.Asked
	if s == fulfilled {
		d.row.Known, d.row.Asked, d.row.Since = 0, 0, 0 // it will never change again
	}
	w.updated = true
	w.own(d, s == processing)
}

// own remembers whether a death of the delivery's worker is owed. Who claims the row although
// he is presumed dead already owes at once.
func (w *world) own(d hand, claimed bool) {
	p := &w.Workers[d.worker]
	switch {
	case claimed:
		d.Claimed = true
		p.Claimed |= d.Message.bit()
		if p.Reaped {
			w.Owed[d.Message.index()]++
		}
	case d.Claimed:
		d.Claimed = false
		p.Claimed &^= d.Message.bit()
	}
}

// heard forgets that an earlier claim had no answer.
func (d hand) heard() {
	d.row.Asked &^= d.self
	d.row.Since &^= d.self
}

// doubt is a claim of which nothing is heard, and which changed nothing.
func (w *world) doubt(n int) bool {
	d, ok := w.at(n, claiming)
	if !ok || d.row.Asked.has(d.self) {
		return false
	}
	d.row.Asked |= d.self
	return true
}

// look is returned.lua: the mark says that a former holder is none any more. What was most
// likely this delivery's own claim is its own as long as the message is, too.
func (w *world) look(n int) bool {
	d, ok := w.at(n, looking)
	if !ok || w.Workers[d.worker].Is == left {
		return false // its context is done
	}
	if w.gone(d) && !w.without(LookGate) {
		return w.lostLease(n)
	}
	mark := w.Redis.Returned.has(d.Message.bit()) || w.without(MarkNeeded)
	ours := d.Ours && !w.without(OwnClaim)
	may := (mark || ours || d.Old) && !w.without(TakeOver)
	d.Heir = d.Heir || may && !ours
	d.At, d.Ours, d.Old = waiting, false, false
	if may {
		d.At = seizing
	}
	return true
}

// gone reports whether the lease of the delivery's worker is.
func (w *world) gone(d hand) bool {
	at := w.Redis.Workers[d.worker]
	return at.Lease == none || at.Lease == condemned
}

// lostLease ends the session of a worker that finds that its lease is gone.
func (w *world) lostLease(n int) bool {
	w.Workers[n/maxSlots].Is = ending
	w.drop(n)
	return true
}

// seize is Claim's UPDATE of the version that was seen before the look: it takes the order
// over if nobody was quicker.
func (w *world) seize(n int) bool {
	d, ok := w.at(n, seizing)
	if !ok {
		return false
	}
	same := d.row.Known.has(d.self) || w.without(SeenFirst) && d.row.Status == processing
	if same || w.without(SeizeGuard) {
		w.update(d, processing)
		d.At = claimed
	} else {
		d.At = outrun
	}
	d.heard()
	return true
}

// start is Start: the work begins, unless the lease is gone. Redis is asked, by start.lua, of
// what came back, and once the lease may be over.
func (w *world) start(n int) bool {
	d, ok := w.at(n, claimed)
	switch {
	case !ok || w.Workers[d.worker].Is == left:
		return false
	case d.Fresh && !d.Heir && (w.Workers[d.worker].Leased || w.without(OwnClock)):
	case w.gone(d) && !w.without(StartGate):
		return w.lostLease(n)
	default:
		d.Fresh = false
		if w.charge(d) >= w.Max {
			d.At = refused
			return true
		}
	}
	d.At = working
	if w.Promises&(WorkedOnce|InTurn) != 0 {
		d.row.Worked++
	}
	return true
}

// charge takes the mark away, charges the death of the former holder to who took the order out
// of his hand, and says how many were charged so far.
func (w *world) charge(d hand) uint8 {
	m := d.Message
	charged := &w.Redis.Deliveries[m.index()]
	if w.Redis.Died.has(m.bit()) && (d.Heir || w.without(HeirPays)) && !w.without(ChargeDeaths) {
		*charged++
	}
	if !w.without(MarkOnce) {
		w.unmark(m)
	}
	return *charged
}

func (w *world) succeed(n int) bool {
	d, ok := w.at(n, working)
	if !ok || oneOf(d.Message, w.Killers) || oneOf(d.Message, w.Refused) {
		return false
	}
	d.At = worked
	if w.without(CommitFirst) {
		d.At = done
	}
	return true
}

func (w *world) fail(n int) bool {
	d, ok := w.at(n, working)
	if !ok {
		return false
	}
	d.At = failed
	w.Owed[d.Message.index()]++
	return true
}

func (w *world) refuse(n int) bool {
	d, ok := w.at(n, working)
	if !ok || !oneOf(d.Message, w.Refused) {
		return false
	}
	d.At = refused
	return true
}

func (w *world) kill(n int) bool {
	d, ok := w.at(n, working)
	return ok && oneOf(d.Message, w.Killers) && w.crash(d.worker)
}

func oneOf(m Message, orders string) bool {
	return strings.ContainsRune(orders, rune(original(m.order())))
}

// finish is Finish: the row is fulfilled if it is still the one that was claimed. Who
// finds another holder waits; who finds it fulfilled has nothing left to do.
func (w *world) finish(n int) bool {
	d, ok := w.at(n, worked)
	if !ok {
		return false
	}
	mine := d.row.Known.has(d.self)
	switch {
	case d.row.Status == processing && (mine || w.without(TokenGuard)):
		d.row.Usurped = d.row.Usurped || !mine
		d.row.Finished++
		w.update(d, fulfilled)
		d.At = done
	case d.row.Status == fulfilled:
		d.At = done
	default:
		d.At = waiting
	}
	if w.without(CommitFirst) {
		w.drop(n)
	}
	return true
}

// ---- What becomes of the message

// ack is ack.lua: the message and all that is kept about it go.
func (w *world) ack(n int) bool {
	d, ok := w.at(n, done)
	if !ok {
		return false
	}
	if w.holds(d) {
		w.Redis.Workers[d.worker].Processing.remove(d.Message)
		if !w.plainly(d) {
			w.clear(d.Message)
		}
	}
	if w.without(CommitFirst) && d.row.Status == processing {
		d.At = worked
		return true
	}
	w.drop(n)
	return true
}

// plainly reports whether the ack is LREM and no more: nothing was kept about the message when
// it was claimed, Redis was not asked about it since, and nobody can have given it back.
func (w *world) plainly(d hand) bool {
	return d.Fresh && (w.Workers[d.worker].Leased || w.without(AckLeased))
}

// holds reports whether the message is still in its worker's list, which is settled then.
func (w *world) holds(d hand) bool {
	w.own(d, false)
	return w.Redis.Workers[d.worker].Processing.count(d.Message) > 0
}

// clear forgets what is kept about a message.
func (w *world) clear(m Message) {
	if !w.without(AckClears) {
		w.Redis.Deliveries[m.index()] = 0
		w.unmark(m)
	}
}

// putOff is putoff.lua: the message waits, charged nothing, for another one's work.
func (w *world) putOff(n int) bool {
	d, ok := w.at(n, waiting)
	if !ok {
		return false
	}
	if w.holds(d) {
		w.Redis.Workers[d.worker].Processing.remove(d.Message)
		w.Redis.Delayed |= d.Message.bit()
		if w.without(PutOffFree) {
			w.Redis.Deliveries[d.Message.index()]++
		}
	}
	w.drop(n)
	return true
}

// retry is retry.lua: a delivery is charged and the message waits for its next one, with
// the right to take its order over; or it was the last one.
func (w *world) retry(n int) bool {
	d, ok := w.at(n, failed)
	if !ok {
		return false
	}
	if w.holds(d) {
		charged := &w.Redis.Deliveries[d.Message.index()]
		*charged++
		if *charged >= w.Max {
			w.Redis.Dead.pushRight(d.Message)
			w.clear(d.Message)
		} else {
			w.Redis.Delayed |= d.Message.bit()
			w.mark(d.Message, false, RetryMark)
		}
		w.Redis.Workers[d.worker].Processing.remove(d.Message)
	}
	w.drop(n)
	return true
}

// mark notes that the order may be taken over by who has the message next, and whether its
// holder died. A mark that is there then is of somebody before him, and it is that one who may
// have begun.
func (w *world) mark(m Message, died bool, by Mechanism) {
	if w.without(by) || died && w.Redis.Returned.has(m.bit()) && !w.without(FirstMark) {
		return
	}
	w.unmark(m)
	w.Redis.Returned |= m.bit()
	if died {
		w.Redis.Died |= m.bit()
	}
}

func (w *world) unmark(m Message) {
	w.Redis.Returned &^= m.bit()
	w.Redis.Died &^= m.bit()
}

// bury is dead.lua: the message is kept as a dead letter.
func (w *world) bury(n int) bool {
	d, ok := w.at(n, refused)
	if !ok {
		return false
	}
	if w.holds(d) {
		w.Redis.Dead.pushRight(d.Message)
		w.clear(d.Message)
		w.Redis.Workers[d.worker].Processing.remove(d.Message)
	}
	w.drop(n)
	return true
}

// giveUp is the end of a handler whose session has ended: the message stays where it is.
func (w *world) giveUp(n int) bool {
	i := n / maxSlots
	p := w.Workers[i].Is
	if p != ending && p != left || w.Workers[i].Hand[n%maxSlots].Message == 0 {
		return false
	}
	w.drop(n)
	return true
}

// drop frees a slot.
func (w *world) drop(n int) {
	w.Workers[n/maxSlots].Hand[n%maxSlots] = Delivery{}
	for o := range w.Rows {
		r := &w.Rows[o]
		r.Known &^= 1 << n
		r.Asked &^= 1 << n
		r.Since &^= 1 << n
	}
}

// due is due.lua: a delayed message goes to the front of the queue.
func (w *world) due(n int) bool {
	m := original(n)
	if n >= maxOrders {
		m = reconciled(n - maxOrders)
	}
	if !w.Redis.Delayed.has(m.bit()) {
		return false
	}
	w.giveBack(m)
	w.Redis.Delayed &^= m.bit()
	return true
}

// ---- A worker's end

func (w *world) stop(i int) bool {
	if w.Workers[i].Is != running {
		return false
	}
	w.Workers[i].Is = ending
	return true
}

// leave is leave.lua: what the worker holds goes back to the front of the queue, the
// oldest foremost, charged nothing. Its handlers may still run.
func (w *world) leave(i int) bool {
	if w.Workers[i].Is != ending {
		return false
	}
	at := &w.Redis.Workers[i]
	for at.Processing.len() > 0 {
		m := at.Processing.popLeft()
		w.giveBack(m)
		w.mark(m, false, LeaveMark)
	}
	*at = Instance{}
	w.Workers[i].Is, w.Workers[i].Leased = left, false
	return true
}

func (w *world) crash(i int) bool {
	if p := w.Workers[i].Is; p != starting && p != running && p != ending {
		return false
	}
	w.mourn(i)
	w.Workers[i].Unsure, w.Workers[i].Leased = false, false
	for k := range maxSlots {
		w.drop(i*maxSlots + k)
	}
	w.Workers[i].Is = dead
	return true
}

// mourn remembers that a worker died, or is presumed to have, that had begun some work. Where
// there may be copies, it may have been begun by who holds another one.
func (w *world) mourn(i int) {
	p := &w.Workers[i]
	for _, m := range messages {
		copied := w.May.Copies > 0 && w.Redis.Workers[i].Processing.count(m) > 0
		if p.Claimed.has(m.bit()) || copied {
			w.Owed[m.index()]++
		}
	}
	p.Claimed = 0
}

// block is a BLMOVE that its worker has given up, and of which Redis does not know that.
func (w *world) block(i int) bool {
	if w.Workers[i].Is != running || w.Workers[i].Blocked {
		return false
	}
	w.Workers[i].Blocked = true
	return true
}

// lateClaim is that BLMOVE, carried out after all, whatever has become of its worker.
func (w *world) lateClaim(i int) bool {
	if !w.Workers[i].Blocked || w.Redis.Queue.len() == 0 {
		return false
	}
	w.Redis.Workers[i].Processing.pushLeft(w.Redis.Queue.popRight())
	return w.unblock(i)
}

func (w *world) unblock(i int) bool {
	was := w.Workers[i].Blocked
	w.Workers[i].Blocked = false
	return was
}

// lapse is the end of a lease that nobody renews any more; freeze is the end of one whose
// owner is alive and does not get to it: frozen, starved, or cut off.
func (w *world) lapse(i int) bool { return !w.alive(i) && w.expire(i) }

func (w *world) freeze(i int) bool { return w.alive(i) && w.expire(i) }

func (w *world) alive(i int) bool {
	p := w.Workers[i].Is
	return p == starting || p == running || p == ending
}

func (w *world) expire(i int) bool {
	at := &w.Redis.Workers[i]
	if at.Lease != good {
		return false
	}
	at.Lease, w.Workers[i].Leased = over, false
	return true
}

// reap is reap.lua with a limit of one: it condemns an instance whose lease is over, and
// gives back its newest message; or ends the registration, if there is none.
func (w *world) reap(i int) bool {
	p, at := &w.Workers[i], &w.Redis.Workers[i]
	gone := at.Lease == over || at.Lease == condemned
	if may := gone && !w.without(OneStepReap) || p.Sentenced; !may || w.without(Reaping) {
		return false
	}
	p.Sentenced = false
	if w.alive(i) && !p.Reaped {
		w.mourn(i)
	}
	p.Reaped = p.Is != dead
	if !w.without(Condemning) {
		at.Lease = condemned
	}
	if at.Processing.len() == 0 {
		*at = Instance{}
		return true
	}
	m := at.Processing.popLeft()
	w.giveBack(m)
	if !at.Given.has(m.bit()) || w.without(ChargeTwinOnce) {
		w.mark(m, true, ReapMark)
	}
	at.Given |= m.bit()
	if w.without(EmptyFirst) {
		at.Lease, at.Given = none, 0
	}
	return true
}

// sentence is the look at the lease where it is a step of its own.
func (w *world) sentence(i int) bool {
	p, at := &w.Workers[i], &w.Redis.Workers[i]
	if !w.without(OneStepReap) || p.Sentenced || at.Lease != over && at.Lease != condemned {
		return false
	}
	p.Sentenced = true
	return true
}

// orphan is orphan.lua: an instance that left traces and is not registered is condemned, to
// be reaped, or to learn it from its next beat.
func (w *world) orphan(i int) bool {
	at := &w.Redis.Workers[i]
	if at.Lease != none || *at == (Instance{}) || w.without(OrphanSearch) {
		return false
	}
	at.Lease = condemned
	if w.without(OrphanGate) {
		at.Lease = good
	}
	return true
}

// ---- What a person does

// requeue is requeue.lua: the message of a dead letter goes to the front of the queue, as if
// it had never been delivered, and its order may be taken over.
func (w *world) requeue(n int) bool {
	m := messages[n]
	if w.Redis.Dead.count(m) == 0 {
		return false
	}
	w.Redis.Deliveries[m.index()] = 0
	w.mark(m, false, RequeueMark)
	w.giveBack(m)
	w.Redis.Dead.remove(m)
	return true
}

// ---- What Redis has lost

// survey is the reconciler's look: an order that is not fulfilled and has no message
// anywhere.
func (w *world) survey(n int) bool {
	k, o := n/len(w.Orders), n%len(w.Orders)
	r, redis := &w.Rows[o], w.Redis
	if w.without(SurveyDead) {
		redis.Dead = List{}
	}
	if w.without(Reconciler) || w.Surveys[k] != 0 || r.Status != pending && r.Status != processing || !redis.nowhere(o) {
		return false
	}
	w.Surveys[k] = reconciled(o)
	r.Known |= 1 << (reconcilers + k)
	return true
}

// reconcile queues a message for what the survey found, unless the row has moved on since.
func (w *world) reconcile(k int) bool {
	m, self := w.Surveys[k], Set(1<<(reconcilers+k))
	if m == 0 {
		return false
	}
	if w.Rows[m.order()].Known.has(self) || w.without(SurveyAgain) {
		w.Redis.Queue.pushRight(m)
		w.mark(m, false, SurveyMark)
		w.Rows[m.order()].Sent++
	}
	w.Rows[m.order()].Known &^= self
	w.Surveys[k] = 0
	return true
}

func (w *world) flush(int) bool {
	w.Redis = Redis{}
	w.Forgot = true
	return true
}

func (w *world) save(int) bool {
	if w.Tail > 0 {
		return false
	}
	w.Saved, w.Tail = w.Redis, 1
	return true
}

func (w *world) rollBack(int) bool {
	if w.Tail < 2 {
		return false
	}
	w.Redis = w.Saved
	w.Saved, w.Tail = Redis{}, 0
	w.Forgot = true
	return true
}

// ---- Time

// age is that nobody touches a row for so long that it counts as nobody's. A holder that
// lives is quicker, unless he is frozen: dawdle.
func (w *world) age(o int) bool { return !w.held(o) && w.grow(o) }

func (w *world) dawdle(o int) bool { return w.held(o) && w.grow(o) }

// held reports whether somebody works on the order, and has not lost it yet.
func (w *world) held(o int) bool {
	for n := range maxWorkers * maxSlots {
		if d, ok := w.at(n, claimed, working, worked); ok && d.Message.order() == o && d.row.Known.has(d.self) {
			return true
		}
	}
	return false
}

func (w *world) grow(o int) bool {
	r := &w.Rows[o]
	if r.Status != processing || r.Old || w.without(Patience) {
		return false
	}
	r.Old = true
	return true
}
