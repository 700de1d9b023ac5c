package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// queueName is the list of the waiting messages; staged is where they lie until all begins.
const (
	queueName = "bench_plain"
	staged    = queueName + ":staged"
	inHandKey = queueName + ":processing"
)

// plain is the reliable loop that one writes first: BLMOVE, the work, LREM. It loses no
// order as long as nobody dies: it has no lease, no token, no retry and no log.
type plain struct {
	rdb *redis.Client
}

func newPlain(address string) *plain {
	return &plain{rdb: redis.NewClient(&redis.Options{Addr: address, PoolSize: 2000, MaxRetries: -1})}
}

func (p *plain) enqueue(ctx context.Context, messages []message) error {
	const atOnce = 1000
	for len(messages) > 0 {
		n := min(atOnce, len(messages))
		var payloads []any
		for _, m := range messages[:n] {
			payloads = append(payloads, m.encode())
		}
		if err := p.rdb.LPush(ctx, staged, payloads...).Err(); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// release lets the staged messages be the queue's; there may be none.
func (p *plain) release(ctx context.Context) error {
	if n, err := p.rdb.Exists(ctx, staged).Result(); n == 0 || err != nil {
		return err
	}
	return p.rdb.Rename(ctx, staged, queueName).Err()
}

func (p *plain) run(ctx context.Context, inHand int, handle handler) error {
	defer p.rdb.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var loops, warm sync.WaitGroup
	warm.Add(inHand)
	for range inHand {
		loops.Go(func() {
			conn := p.rdb.Conn() // a BLMOVE holds one anyway
			defer conn.Close()
			err := conn.Ping(ctx).Err()
			warm.Done()
			for err == nil && ctx.Err() == nil {
				err = one(ctx, conn, handle)
			}
			if err != nil {
				fail(err)
			}
		})
	}
	warm.Wait()
	err := p.release(ctx)
	if err != nil {
		fail(err)
	}
	loops.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// one fulfils one order. It waits for it no longer than a second, so that a loop ends.
func one(ctx context.Context, conn *redis.Conn, handle handler) error {
	ctx = context.WithoutCancel(ctx) // a BLMOVE that is given up moves its message all the same
	payload, err := conn.BLMove(ctx, queueName, inHandKey, "RIGHT", "LEFT", time.Second).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := decode([]byte(payload))
	if err != nil {
		return err
	}
	if err := handle(ctx, m.OrderID); err != nil {
		return err
	}
	return conn.LRem(ctx, inHandKey, -1, payload).Err()
}
