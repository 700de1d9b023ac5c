package queue

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/outage"

	"github.com/redis/go-redis/v9"
)

// ErrShutdown is the cause with which handlers are cancelled that did not end
// within ShutdownTimeout.
var ErrShutdown = errors.New("the worker is shutting down")

// ErrAlone is what [Consumer.Finish] and [Consumer.Relay] return of a delivery that must be
// finished by itself.
var ErrAlone = errors.New("not together with others")

// A Handler does what a message asks for. It returns nil when that is done, for good where
// there is no [Consumer.Finish], or an error: one made by [Reject] or [PutOff], or any other for a failure,
// which is charged and retried, see [Failure]. It must return soon after its
// context is done; an error that it returns then is of no account, for the message
// goes back to the queue uncharged.
type Handler func(context.Context, *Delivery) error

const (
	blockFor   = time.Second     // longest one BLMOVE waits; go-redis sends whole seconds
	blockSlack = 2 * time.Second // how much later than that its answer may come
	auditEvery = time.Second / 2 // pause between two audits of the own list; with blockFor, well within two seconds
)

// Consumer claims messages and has them handled.
//
// Its claim is BRPop on fulfillment_queue: same order, same blocking wait, never a busy wait; the element moves instead of vanishing.
type Consumer struct {
	*Queue

	// Prepare, if there is one, may do for messages that were claimed together what each
	// handler would have to do alone, as far as that can be done at one go. What it leaves
	// in [Delivery.Prepared] is for the handler.
	Prepare func(context.Context, []*Delivery)

	// Finish, if there is one, is called for deliveries whose handlers have returned nil, and
	// ends at one go what they have begun. It returns for each what its handler would return
	// otherwise, nil where it is done for good. It may wait where it is given one; of many it
	// does not wait for any, but returns [ErrAlone] for it, and is given it once more by itself.
	Finish func(context.Context, []*Delivery) []error

	// Relay, if there is one, is Finish of the one delivery and Prepare of the other at one go,
	// for a worker that does little at once. It does not wait, but returns [ErrAlone]; what it
	// does not prepare is handled all the same.
	Relay func(_ context.Context, done, next *Delivery) error

	open  func() <-chan struct{}
	slots chan struct{} // one token for each message that may still be taken in hand
	done  chan struct{} // one token for each whose work is done, and that is not yet forgotten
	hands atomic.Int64  // messages in hand

	claimTurn, beatTurn turn
	lastClaim           atomic.Pointer[error] // how it ended; nil: well
}

// NewConsumer returns a consumer of q. It claims only while the channel that open
// returns is closed, which is how the rest of the program says that it can work.
func NewConsumer(q *Queue, open func() <-chan struct{}) *Consumer {
	c := &Consumer{Queue: q, open: open, slots: newTokens(q.cfg.Concurrency)}
	c.done = make(chan struct{}, q.cfg.Concurrency+1) // with one slot, one is forgotten while the next is relayed
	c.claimTurn.loop, c.claimTurn.metrics = metrics.Claim, q.cfg.Metrics
	c.beatTurn.loop, c.beatTurn.metrics = metrics.Heartbeat, q.cfg.Metrics
	return c
}

// newTokens is a channel that yields n times, and again for each that is given back.
func newTokens(n int) chan struct{} {
	tokens := make(chan struct{}, n)
	for range n {
		tokens <- struct{}{}
	}
	return tokens
}

// Consume registers the worker, claims messages and calls handle for each, up to
// Concurrency at once, until ctx is done. It then lets the handlers finish for up
// to ShutdownTimeout, hands the rest back and returns nil. No error of Redis ends
// it: it waits and goes on.
func (c *Consumer) Consume(ctx context.Context, handle Handler) error {
	work, stop := drainContext(ctx, c.cfg.ShutdownTimeout)
	defer stop()
	for n := 0; ctx.Err() == nil; n++ {
		instance := c.newInstance()
		c.living.Store(&instance)
		s := &session{
			Consumer: c, instance: instance, handle: handle, anew: n > 0,
			log:   c.log.With("instance", instance),
			lanes: newLanes(c.keys, instance, c.cfg.Concurrency), desks: newTokens(desks), crew: newCrew(),
			epoch: time.Now(), unshown: make(chan struct{}, 1),
		}
		s.finishes = groupcommit.New[*Delivery, struct{}](nil, mostMessages, s.finishTogether)
		s.starts = groupcommit.New[start, struct{}](nil, mostMessages, s.shareStarts)
		s.settlements = groupcommit.New[*settlement, struct{}](nil, mostMessages, s.sendSettlements)
		s.finishes.Then, s.finishes.Go = s.finished, s.crew.run
		s.settlements.Then, s.settlements.Go = s.forgotten, s.crew.run
		s.serve(ctx, work)
		c.living.Store(nil)
	}
	return nil
}

// claimLoop claims whenever a slot is free, the rest of the program can work and
// nobody has paused the queue, until ctx is done. It audits the own list meanwhile.
func (s *session) claimLoop(ctx context.Context) {
	s.auditDue = time.NewTicker(auditEvery)
	defer s.auditDue.Stop()
	s.audit(ctx) // it may be paused
	s.lastClaim.Store(nil)
	for s.await(ctx, s.slot) {
		s.freeSlots(1) // claim takes it: nobody else does
		if !s.await(ctx, s.resumed) || !s.await(ctx, s.open) {
			return
		}
		ahead := s.claimsAhead()
		if !ahead && !s.awaitDesk(ctx) {
			return
		}
		_ = outage.Ride(ctx, s.log, "claim", func() error { return s.remember(s.claim(ctx, ahead)) })
		s.dispatchClaimed(ctx, ahead)
	}
}

// claimsAhead reports whether the next claim is worth making while another gang is prepared,
// so that its messages are there when that is done. One by one they would make small gangs.
func (s *session) claimsAhead() bool {
	s.claims.Lock()
	defer s.claims.Unlock()
	return s.plenty && len(s.slots) >= largeClaim
}

// dispatchClaimed has what was claimed prepared: at once, or when that has its turn. Its lease
// runs meanwhile, so that it waits for nothing else.
func (s *session) dispatchClaimed(ctx context.Context, ahead bool) {
	if len(s.gathered) == 0 {
		return
	}
	if ahead {
		select {
		case <-s.desks:
			s.desks <- struct{}{} // dispatch takes it, or a relay is quicker
		case <-time.After(groupcommit.Patience):
		case <-ctx.Done():
		}
	}
	s.dispatch(s.gathered...)
	s.gathered = nil
	runtime.Gosched() // who prepares sends a statement before this loop sends the next claim
}

// remember keeps how a claim ended, and returns it. A full Redis is not against the
// worker: it lets it claim what there is.
func (c *Consumer) remember(err error) error {
	if err == nil || redis.IsOOMError(err) {
		c.lastClaim.Store(nil)
	} else {
		c.lastClaim.Store(&err)
	}
	c.cfg.Metrics.Found(metrics.RedisServer, c.Claiming())
	return err
}

// Hands are how many slots are busy, and how many messages are in hand.
func (c *Consumer) Hands() (busy, inHand int) {
	done, all := len(c.done), int(c.hands.Load())
	return max(0, all-done), all
}

// Claiming returns nil unless Redis refused the last claim, or it failed.
func (c *Consumer) Claiming() error {
	if err := c.lastClaim.Load(); err != nil {
		return fmt.Errorf("cannot claim: %w", *err)
	}
	return nil
}

// await waits until the channel that ready names yields, and audits meanwhile. It
// reports false when ctx is done first: what was yielded is the caller's in any case, for
// a slot that were dropped here would be missing in every later session.
func (s *session) await(ctx context.Context, ready func() <-chan struct{}) bool {
	return s.awaitUntil(ctx, ctx, ready)
}

// awaitUntil is await that ends with until. The audits do not: they have their own time.
func (s *session) awaitUntil(ctx, until context.Context, ready func() <-chan struct{}) bool {
	for {
		s.claimTurn.mark()
		select { // first, or a busy loop would audit by chance
		case <-s.auditDue.C:
			s.audit(ctx)
		default:
		}
		select {
		case <-until.Done():
			return false
		case <-s.auditDue.C:
			s.audit(ctx)
		case <-ready():
			return true
		}
	}
}

var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (s *session) resumed() <-chan struct{} {
	if s.paused {
		return nil // until an audit says otherwise
	}
	return always
}

// awaitDesk waits until another gang can be prepared, but no longer than one may hold up
// others. Until then what becomes free adds up, to be claimed and prepared together.
func (s *session) awaitDesk(ctx context.Context) bool {
	if len(s.desks) == 0 {
		patience, cancel := context.WithTimeout(ctx, groupcommit.Patience)
		defer cancel()
		if s.awaitUntil(ctx, patience, s.desk) {
			s.desks <- struct{}{} // dispatch takes it, or a relay is quicker
		}
	}
	return ctx.Err() == nil
}

func (s *session) desk() <-chan struct{} { return s.desks }

func (s *session) slot() <-chan struct{} { return s.slots }

//go:embed lua/claim.lua
var claimLua string

var claimScript = redis.NewScript(claimLua)

// claim waits for one message or, if there was one just before, takes as many more as
// there are free slots; ahead of its turn it does not wait. It leaves them in gathered, and
// does nothing while no slot is free.
//
// An error that is no reply leaves open whether messages moved, so the own list is
// looked at there and then, and in any case before anything else is claimed.
func (s *session) claim(ctx context.Context, ahead bool) error {
	s.claims.Lock()
	defer s.claims.Unlock()
	s.claimTurn.mark()
	if s.unsure {
		if err := s.adoptStrays(ctx); err != nil {
			return err
		}
	}
	if s.plenty && len(s.slots) > 1 { // why wait, then; for one, BLMOVE need not either
		if taken, err := s.fillSlots(ctx); taken > 0 || err != nil {
			return err
		}
	}
	if ahead || s.takeSlots(1) == 0 {
		return nil
	}
	l := emptiestFirst(s.lanes)[0]
	payload, fresh, err := s.blockingMove(ctx, l)
	s.asked = time.Now() // it may have waited for long
	if err != nil {
		s.freeSlots(1)
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if redis.IsOOMError(err) {
			return s.claimInFullRedis(ctx, err)
		}
		return s.failed(ctx, err)
	}
	s.gathered = append(s.gathered, s.claimed(l, payload, fresh))
	return nil
}

// claimed takes a message in hand that was claimed by itself.
func (s *session) claimed(l *lane, payload string, fresh bool) *Delivery {
	crash.At("claimed")
	s.cfg.Metrics.Claimed(1)
	d := s.delivery(l, payload)
	d.fresh = fresh
	return d
}

// claimInFullRedis claims without waiting. A Redis whose memory is full refuses BLMOVE,
// but not claim.lua; if nothing could be claimed, nothing would ever be freed.
func (s *session) claimInFullRedis(ctx context.Context, refusal error) error {
	taken, err := s.fillSlots(ctx)
	if err == nil && taken == 0 {
		return refusal
	}
	return err
}

// blockingMove outlives ctx: a BLMOVE that is given up has moved its message all
// the same. It ends by itself.
func (s *session) blockingMove(ctx context.Context, l *lane) (payload string, fresh bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), blockFor+blockSlack)
	defer cancel()
	return s.moveOne(ctx, func(p redis.Pipeliner) *redis.StringCmd {
		return p.BLMove(ctx, s.keys.Queue(), l.key, "RIGHT", "LEFT", blockFor)
	})
}

// moveOne runs the command that moves one message, and looks behind it.
func (s *session) moveOne(ctx context.Context, move func(redis.Pipeliner) *redis.StringCmd) (payload string, fresh bool, err error) {
	node, err := master(ctx, s.rdb.blocking, s.keys.Queue())
	if err != nil {
		return "", false, err
	}
	p := node.Pipeline()
	moved, behind := move(p), s.lookBehind(ctx, p)
	_, _ = p.Exec(ctx) // each has its own error
	fresh, s.plenty = seenBehind(behind)
	payload, err = moved.Result()
	return payload, fresh, err
}

// lookBehind asks, as soon as a claim has moved its message, whether anything is kept about
// messages that came back, which may be about this one, and whether more wait: EXISTS counts a
// key as often as it is named.
func (s *session) lookBehind(ctx context.Context, p redis.Pipeliner) *redis.IntCmd {
	queue := s.keys.Queue()
	return p.Exists(ctx, s.keys.Deliveries(), s.keys.Returned(), queue, queue, queue)
}

// seenBehind reads what [session.lookBehind] was told. Without an answer anything may be kept.
func seenBehind(told *redis.IntCmd) (fresh, more bool) {
	n, err := told.Result()
	return err == nil && n%3 == 0, n >= 3
}

// fillSlots takes as many messages as there are slots free, without waiting, and says how
// many it got.
func (s *session) fillSlots(ctx context.Context) (int, error) {
	free := s.takeSlots(mostMessages)
	if free == 0 || ctx.Err() != nil {
		s.freeSlots(free)
		return 0, nil
	}
	lanes := emptiestFirst(s.lanes)
	s.asked = time.Now()
	payloads, kept, tooLong, err := s.move(context.WithoutCancel(ctx), lanes, free)
	s.plenty = len(payloads) > 0
	s.unsure = s.unsure || tooLong // it is buried before anything newer comes to lie beside it
	if err != nil {
		s.unsure = true // a script that was refused may have done half
		s.freeSlots(free)
		return 0, s.failed(ctx, err)
	}
	s.cfg.Metrics.Claimed(len(payloads))
	all := make([]*Delivery, len(payloads))
	for i, payload := range payloads {
		all[i] = s.delivery(lanes[i/laneLength], payload)
		all[i].fresh = true
	}
	for _, n := range kept {
		all[n.(int64)-1].fresh = false
	}
	s.gathered = append(s.gathered, all...)
	s.freeSlots(free - len(payloads))
	return len(payloads), nil
}

// failed returns err, the error of a claim, after it has taken in hand what the claim
// may have moved all the same. A message that is too long has moved and is no error.
func (s *session) failed(ctx context.Context, err error) error {
	if isReply(err) {
		return err
	}
	s.unsure = true
	if errors.Is(err, errTooLong) {
		err = nil
	}
	return errors.Join(err, s.adoptStrays(ctx))
}

// move fills the lanes one after the other, each with as many messages as a lane is long. It
// says about which of them something is kept, the first being 1, and whether the last one that
// it moved is too long, and not among those it returns.
func (s *session) move(ctx context.Context, lanes []*lane, limit int) (payloads []string, kept []any, tooLong bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	node, err := master(ctx, s.rdb.control, s.keys.Queue())
	if err != nil {
		return nil, nil, false, err
	}
	keys := []string{s.keys.Queue(), s.keys.Deliveries(), s.keys.Returned()}
	for _, l := range lanes[:min(len(lanes), (limit+laneLength-1)/laneLength)] {
		keys = append(keys, l.key)
	}
	answer, err := claimScript.Run(ctx, node, keys, limit, laneLength, s.cfg.MaxMessageBytes).Slice()
	if err != nil {
		return nil, nil, false, err
	}
	return texts(answer[0]), answer[2].([]any), answer[1] == int64(1), nil
}

// takeSlots takes up to n of the free slots and says how many it got. Only the claim
// loop takes any.
func (s *session) takeSlots(n int) int {
	for got := range n {
		select {
		case <-s.slots:
		default:
			return got
		}
	}
	return n
}

func (s *session) freeSlots(n int) {
	for range n {
		s.slots <- struct{}{}
	}
}
