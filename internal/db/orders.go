package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/outage"
)

// Token is proof of a claim: the version of the row that the claim made (its xmin,
// which every update changes). It is worth something as long as nobody else has
// claimed the order; tokens have no order among them.
type Token string

// Claim sets the order to processing and returns the token for [Orders.Finish]. With a
// version, the one in which an [*order.InHandError] saw the order, it takes it even out of
// somebody else's hand, if nobody has touched it since.
//
// It waits out outages until ctx is done and returns its cause then. Other errors:
// [order.ErrUnknown], [order.ErrFulfilled], [order.ErrForeign], an
// [*order.InHandError] if the order is processing, in another version than that, or what
// PostgreSQL has against this very row.
func (o *Orders) Claim(ctx context.Context, id int64, version string) (token Token, err error) {
	return o.GoOnClaiming(ctx, newAttempt(id, version))
}

// Attempt is a claim or a finish that may have been tried once, by [Orders.ClaimTogether],
// [Orders.FinishTogether] or [Orders.FinishAndClaim].
type Attempt struct {
	call
	begun time.Time // zero: it was not
}

func newAttempt(id int64, version string) Attempt {
	return Attempt{call: call{Request: change{id, version}}}
}

// Succeeded reports whether the order has made the step.
func (a *Attempt) Succeeded() bool { return !a.begun.IsZero() && a.Err == nil }

// ClaimTogether tries to set all the orders, of which none stands there twice, to processing
// at one go. Nothing is tried while PostgreSQL is away. [Orders.GoOnClaiming] tells of each
// what came of it, and does what is left to do.
func (o *Orders) ClaimTogether(ids []int64) []Attempt {
	attempts := make([]Attempt, len(ids))
	for i, id := range ids {
		attempts[i].Request.id = id
	}
	o.together(attempts, o.claims.flush)
	return attempts
}

// Claimed is an order and the token with which it was claimed.
type Claimed struct {
	ID    int64
	Token Token
}

// FinishTogether is to [Orders.Finish] and [Orders.GoOnFinishing] what [Orders.ClaimTogether]
// is to Claim and GoOnClaiming.
func (o *Orders) FinishTogether(all []Claimed) []Attempt {
	attempts := make([]Attempt, len(all))
	for i, c := range all {
		attempts[i].Request = change{c.ID, string(c.Token)}
	}
	o.together(attempts, o.finishes.flush)
	return attempts
}

// FinishAndClaim tries to finish the one order and to claim the other, which must not be the
// same, in one transaction. For the rest it is to each as [Orders.FinishTogether] and
// [Orders.ClaimTogether] are.
func (o *Orders) FinishAndClaim(done Claimed, next int64) (finish, claim Attempt) {
	both := []Attempt{newAttempt(done.ID, string(done.Token)), newAttempt(next, "")}
	o.together(both, o.flushBoth)
	return both[0], both[1]
}

// together tries what is asked for of many orders at one go, unless PostgreSQL is away.
func (o *Orders) together(attempts []Attempt, flush func([]*call)) {
	if len(attempts) == 0 {
		return
	}
	select {
	case <-o.Available():
	default:
		return
	}
	calls := make([]*call, len(attempts))
	for i := range attempts {
		calls[i] = &attempts[i].call
	}
	begun := time.Now()
	flush(calls)
	for i := range attempts {
		if a := &attempts[i]; !errors.Is(a.Err, errTogether) {
			a.begun = begun
		}
	}
}

// GoOnClaiming goes on with a claim as [Orders.Claim] would have done after its first try.
func (o *Orders) GoOnClaiming(ctx context.Context, a Attempt) (token Token, err error) {
	if a.Succeeded() {
		return a.Answer.token, nil
	}
	var asked time.Time // when our first try of unknown outcome began; zero: there was none
	err = outage.RideQuietly(ctx, o.log, "claim the order", isRefusal, func() error {
		return o.try(ctx, func() (err error) {
			begun := time.Now()
			if !a.begun.IsZero() {
				begun = a.begun
			}
			token, err = o.claimOnce(a, asked)
			a.begun, a.Err = time.Time{}, nil // from now on it is tried here
			if err != nil && isUnknown(err) && asked.IsZero() {
				asked = begun
			}
			return err
		})
	})
	return token, wrap("claim", a.Request.id, err)
}

func (o *Orders) claimOnce(a Attempt, asked time.Time) (Token, error) {
	claimed, err := a.Answer, a.Err
	for tried := !a.begun.IsZero(); ; tried = false {
		if !tried {
			claimed, err = o.claims.doAfter(a.Err, a.Request)
		}
		if !errors.Is(err, errGuard) {
			return claimed.token, err
		}
		seen, err := o.look(a.Request.id)
		if err != nil {
			return "", err
		}
		if err := o.refusal(seen, asked); err != nil {
			return "", err
		}
	}
}

func (o *Orders) look(id int64) (row, error) {
	seen, err := o.looks.do(change{id: id})
	if errors.Is(err, errGuard) {
		err = order.ErrUnknown
	}
	return seen, err
}

// refusal is why an order in that state was not claimed, or nil if it is to be had now: it
// was inserted, or set, since the first try.
func (o *Orders) refusal(seen row, asked time.Time) error {
	switch seen.status {
	case order.Pending:
		return nil
	case order.Processing:
		ours := !asked.IsZero() && seen.age <= time.Since(asked)
		return &order.InHandError{RetryIn: o.abandoned - seen.age, Version: string(seen.token), Ours: ours}
	case order.Fulfilled:
		return order.ErrFulfilled
	}
	return fmt.Errorf("%w: %q", order.ErrForeign, seen.status)
}

// Finish sets the order to fulfilled, if the token is still good. It returns
// [order.ErrSuperseded] if it is not, and [order.ErrFulfilled] if somebody else has
// fulfilled the order meanwhile; nothing is changed then.
//
// It waits out outages until ctx is done and returns its cause then.
func (o *Orders) Finish(ctx context.Context, id int64, token Token) error {
	return o.GoOnFinishing(ctx, newAttempt(id, string(token)))
}

// GoOnFinishing goes on with a finish as [Orders.Finish] would have done after its first try.
func (o *Orders) GoOnFinishing(ctx context.Context, a Attempt) error {
	if a.Succeeded() {
		return nil
	}
	unknown := false // an earlier try may have been carried out
	err := outage.RideQuietly(ctx, o.log, "finish the order", isRefusal, func() error {
		return o.try(ctx, func() error {
			err := o.finishOnce(a)
			a.begun, a.Err = time.Time{}, nil // from now on it is tried here
			if errors.Is(err, order.ErrFulfilled) && unknown {
				return nil // most likely by that try; whoever it was, the work is done
			}
			unknown = unknown || err != nil && isUnknown(err)
			return err
		})
	})
	return wrap("finish", a.Request.id, err)
}

func (o *Orders) finishOnce(a Attempt) error {
	err := a.Err
	if a.begun.IsZero() {
		_, err = o.finishes.doAfter(err, a.Request)
	}
	if !errors.Is(err, errGuard) {
		return err
	}
	seen, err := o.look(a.Request.id)
	switch {
	case err != nil:
		return err
	case seen.status == order.Fulfilled:
		return order.ErrFulfilled
	default:
		return order.ErrSuperseded
	}
}

func wrap(step string, id int64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s order %d: %w", step, id, err)
}
