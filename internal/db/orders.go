package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/outage"

	"github.com/jackc/pgx/v5"
)

// Token is proof of a claim: the version of the row that the claim made (its xmin,
// which every update changes). It is worth something as long as nobody else has
// claimed the order; tokens have no order among them.
type Token string

// row is what a claim must know of an order that is not pending.
type row struct {
	status order.Status
	token  Token
	age    time.Duration // since its last change
}

// Claim sets the order to processing and returns the token for [Orders.Finish]. With a
// version, the one in which an [*order.InHandError] saw the order, it takes it even out of
// somebody else's hand, if nobody has touched it since.
//
// It waits out outages until ctx is done and returns its cause then. Other errors:
// [order.ErrUnknown], [order.ErrFulfilled], [order.ErrForeign], an
// [*order.InHandError] if the order is processing and not to be taken over, or what
// PostgreSQL has against this very row.
func (o *Orders) Claim(ctx context.Context, id int64, version string) (token Token, err error) {
	var asked time.Time // when our first try of unknown outcome began; zero: there was none
	err = outage.RideQuietly(ctx, o.log, "claim the order", isRefusal, func() error {
		return o.try(ctx, func(ctx context.Context) (err error) {
			begun := time.Now()
			token, err = o.claimOnce(ctx, id, version, asked)
			if err != nil && isUnknown(err) && asked.IsZero() {
				asked = begun
			}
			return err
		})
	})
	return token, wrap("claim", id, err)
}

func (o *Orders) claimOnce(ctx context.Context, id int64, version string, asked time.Time) (Token, error) {
	token, err := o.update(ctx, `
		UPDATE orders SET status = 'processing', updated_at = now()
		WHERE id = $1::bigint AND (status = 'pending' OR status = 'processing' AND xmin::text = $2)
		RETURNING xmin::text`, id, version)
	if !errors.Is(err, pgx.ErrNoRows) {
		return token, err
	}
	for {
		seen, err := o.read(ctx, id)
		if err != nil {
			return "", err
		}
		if err := o.mayTake(seen, asked); err != nil {
			return "", err
		}
		token, err := o.update(ctx, `
			UPDATE orders SET status = 'processing', updated_at = now()
			WHERE id = $1::bigint AND status = $2 AND xmin::text = $3
			RETURNING xmin::text`, id, seen.status, seen.token)
		if !errors.Is(err, pgx.ErrNoRows) {
			return token, err
		}
		asked = time.Time{} // somebody was quicker: look again, but his is not our claim
	}
}

// mayTake returns nil if an order in that state may be claimed by anybody.
func (o *Orders) mayTake(seen row, asked time.Time) error {
	switch seen.status {
	case order.Pending:
		return nil // it was inserted, or set, since the first try
	case order.Processing:
		if seen.age >= o.abandoned {
			return nil
		}
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
	unknown := false // an earlier try may have been carried out
	err := outage.RideQuietly(ctx, o.log, "finish the order", isRefusal, func() error {
		return o.try(ctx, func(ctx context.Context) error {
			err := o.finishOnce(ctx, id, token)
			if errors.Is(err, order.ErrFulfilled) && unknown {
				return nil // most likely by that try; whoever it was, the work is done
			}
			unknown = unknown || err != nil && isUnknown(err)
			return err
		})
	})
	crash.At("fulfilled")
	return wrap("finish", id, err)
}

func (o *Orders) finishOnce(ctx context.Context, id int64, token Token) error {
	_, err := o.update(ctx, `
		UPDATE orders SET status = 'fulfilled', updated_at = now()
		WHERE id = $1::bigint AND status = 'processing' AND xmin::text = $2
		RETURNING xmin::text`, id, token)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	seen, err := o.read(ctx, id)
	switch {
	case err != nil:
		return err
	case seen.status == order.Fulfilled:
		return order.ErrFulfilled
	default:
		return order.ErrSuperseded
	}
}

// update runs an UPDATE of one row and returns the row's new version, or
// pgx.ErrNoRows if its guards did not hold.
func (o *Orders) update(ctx context.Context, sql string, args ...any) (token Token, err error) {
	err = o.query(ctx, []any{&token}, sql, args...)
	return token, err
}

// query reads the one row that a statement returns. Where it got no connection, nothing
// was sent, however long it waited.
func (o *Orders) query(ctx context.Context, into []any, sql string, args ...any) error {
	conn, err := o.pool.Acquire(ctx)
	if err != nil {
		return &unsentError{err}
	}
	defer conn.Release()
	return conn.QueryRow(ctx, sql, args...).Scan(into...)
}

func (o *Orders) read(ctx context.Context, id int64) (row, error) {
	var seen row
	var seconds float64
	err := o.query(ctx, []any{&seen.status, &seen.token, &seconds}, `
		SELECT coalesce(status, ''), xmin::text, coalesce(extract(epoch FROM now() - updated_at), 'infinity')::float8
		FROM orders WHERE id = $1::bigint`, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return seen, order.ErrUnknown
	}
	// A row without a date is as old as need be, but no longer than a Duration.
	seen.age = time.Duration(min(seconds, 1e9) * float64(time.Second))
	return seen, err
}

func wrap(step string, id int64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s order %d: %w", step, id, err)
}
