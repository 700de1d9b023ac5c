package main

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// What the servers could do: none of these is a worker. They have no lease, token, retry,
// log or clean stop.

// atOnce is how many orders a lane of a ceiling takes at once; of four lanes of a thousand
// and a few other divisions, this one was the fastest.
const (
	atOnce        = 1000
	setBasedLanes = 2
	batchLanes    = 4
)

// setBased takes orders through their two steps with nothing else: no queue.
type setBased struct {
	db            *pgxpool.Pool
	first, orders int64
}

func (s *setBased) enqueue(context.Context, []message) error { return nil }

func (s *setBased) run(ctx context.Context, _ int, handle handler) error {
	var taken atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range setBasedLanes {
		group.Go(func() error {
			for {
				from := taken.Add(atOnce) - atOnce
				if from >= s.orders {
					return nil
				}
				var ids []int64
				for i := from; i < min(from+atOnce, s.orders); i++ {
					ids = append(ids, s.first+i)
				}
				if err := handle(ctx, ids...); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// batches is the shortest way through both servers: each lane claims a thousand messages
// in a pipeline, sends two UPDATEs for all of them, and forgets them in a pipeline.
type batches struct {
	*plain
	db *pgxpool.Pool // nil for Redis alone
}

func (b *batches) run(ctx context.Context, _ int, handle handler) error {
	defer b.rdb.Close()
	if err := b.release(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for n := range batchLanes {
		l := lane{b, inHandKey + ":" + strconv.Itoa(n), handle}
		group.Go(func() error { return l.run(ctx) })
	}
	return group.Wait()
}

// lane has a list of its own for what it has in hand.
type lane struct {
	*batches
	inHand string
	handle handler
}

// run takes and settles; a batch is forgotten while the next one is under way.
func (l lane) run(ctx context.Context) error {
	var forgetting errgroup.Group
	for ctx.Err() == nil {
		payloads, err := l.claim(ctx)
		if err != nil {
			return err
		}
		if len(payloads) == 0 {
			break
		}
		ids := make([]int64, len(payloads))
		for i, payload := range payloads {
			m, err := decode([]byte(payload))
			if err != nil {
				return err
			}
			ids[i] = m.OrderID
		}
		if err := forgetting.Wait(); err != nil {
			return err
		}
		if err := l.handle(ctx, ids...); err != nil {
			return err
		}
		forgetting.Go(func() error { return l.forget(ctx, payloads) })
	}
	return forgetting.Wait()
}

func (l lane) claim(ctx context.Context) ([]string, error) {
	replies, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range atOnce {
			p.LMove(ctx, queueName, l.inHand, "RIGHT", "LEFT")
		}
		return nil
	})
	var payloads []string
	for _, reply := range replies {
		if payload, err := reply.(*redis.StringCmd).Result(); err == nil {
			payloads = append(payloads, payload)
		}
	}
	if errors.Is(err, redis.Nil) { // the queue has fewer
		err = nil
	}
	return payloads, err
}

func (l lane) forget(ctx context.Context, payloads []string) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, payload := range payloads {
			p.LRem(ctx, l.inHand, -1, payload)
		}
		return nil
	})
	return err
}
