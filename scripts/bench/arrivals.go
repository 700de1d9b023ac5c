package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// arrivals are orders that come in on their own: their times stand before anything is
// measured, and whoever is slow does not make the next one come later. A wait counts from
// when an order should have come, so that one that is sent late has waited meanwhile.
type arrivals struct {
	first    int64           // id of the first order; they are consecutive
	times    []time.Duration // from the beginning on, in order
	messages []any
	begin    time.Time
}

// poisson are the times of independent arrivals at that mean rate, for so long.
func poisson(random *rand.Rand, rate float64, long time.Duration) (times []time.Duration) {
	for at := 0.0; ; {
		at += random.ExpFloat64() / rate
		if at > long.Seconds() {
			return times
		}
		times = append(times, time.Duration(at*float64(time.Second)))
	}
}

func newArrivals(first int64, times []time.Duration) *arrivals {
	a := &arrivals{first: first, times: times}
	for i := range times {
		a.messages = append(a.messages, message(first+int64(i)))
	}
	return a
}

// send queues each order at its time. Those that are due together go together: a round
// trip takes longer than many an order's distance to the next.
func (a *arrivals) send(ctx context.Context, b *bench, queue string) error {
	a.begin = time.Now()
	for sent := 0; sent < len(a.times); {
		due := sent
		for now := time.Since(a.begin); due < len(a.times) && a.times[due] <= now; {
			due++
		}
		if due == sent {
			if !sleep(ctx, a.times[sent]-time.Since(a.begin)) {
				return ctx.Err()
			}
			continue
		}
		if err := b.rdb.LPush(ctx, queue, a.messages[sent:due]...).Err(); err != nil {
			return err
		}
		sent = due
	}
	return nil
}

// waits are the times from each arrival to the order's updated_at, which is the beginning
// of the transaction that fulfils it, by the same machine's clock. All must be fulfilled.
func (a *arrivals) waits(ctx context.Context, b *bench) ([]time.Duration, error) {
	rows, err := b.db.Query(ctx, `SELECT updated_at FROM orders WHERE id BETWEEN $1 AND $2 AND status = 'fulfilled' ORDER BY id`,
		a.first, a.first+int64(len(a.times))-1)
	if err != nil {
		return nil, err
	}
	fulfilled, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, err
	}
	if len(fulfilled) != len(a.times) {
		return nil, errNotAll
	}
	waits := make([]time.Duration, len(fulfilled))
	for i, at := range fulfilled {
		waits[i] = at.Sub(a.begin.Add(a.times[i]))
	}
	return waits, nil
}
