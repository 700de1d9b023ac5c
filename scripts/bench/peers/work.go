package main

import (
	"context"

	"github.com/gocraft/work"
	redigo "github.com/gomodule/redigo/redis"
)

// workQueue is github.com/gocraft/work.
type workQueue struct {
	redis    string
	enqueuer *work.Enqueuer // one for all messages
}

const namespace = "bench"

func (q *workQueue) pool(connections int) *redigo.Pool {
	return &redigo.Pool{
		MaxActive: connections, MaxIdle: connections, Wait: true,
		Dial: func() (redigo.Conn, error) { return redigo.Dial("tcp", q.redis) },
	}
}

func (q *workQueue) enqueue(_ context.Context, messages []message) error {
	if q.enqueuer == nil {
		q.enqueuer = work.NewEnqueuer(namespace, q.pool(producers))
	}
	return inParallel(messages, func(m message) error {
		_, err := q.enqueuer.Enqueue("fulfil", work.Q{
			"order_id": m.OrderID, "product_id": m.ProductID, "quantity": m.Quantity,
			"correlation_id": m.CorrelationID, "timestamp": m.Timestamp,
		})
		return err
	})
}

func (q *workQueue) run(ctx context.Context, inHand int, handle handler) error {
	pool := q.pool(inHand + 16) // some for its own housekeeping
	defer pool.Close()
	workers := work.NewWorkerPool(struct{}{}, uint(inHand), namespace, pool)
	workers.Job("fulfil", func(j *work.Job) error {
		id := j.ArgInt64("order_id")
		if err := j.ArgError(); err != nil {
			return err
		}
		return handle(context.WithoutCancel(ctx), id)
	})
	workers.Start()
	<-ctx.Done()
	workers.Stop()
	return nil
}
