package main

import (
	"context"

	"github.com/hibiken/asynq"
)

// asynqQueue is github.com/hibiken/asynq.
type asynqQueue struct {
	redis  string
	client *asynq.Client // of the producer; one for all messages
}

func (q *asynqQueue) enqueue(ctx context.Context, messages []message) error {
	if q.client == nil {
		q.client = asynq.NewClient(asynq.RedisClientOpt{Addr: q.redis})
	}
	return inParallel(messages, func(m message) error {
		_, err := q.client.EnqueueContext(ctx, asynq.NewTask("fulfil", m.encode()))
		return err
	})
}

func (q *asynqQueue) run(ctx context.Context, inHand int, handle handler) error {
	server := asynq.NewServer(asynq.RedisClientOpt{Addr: q.redis}, asynq.Config{Concurrency: inHand, LogLevel: asynq.ErrorLevel})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		m, err := decode(t.Payload())
		if err != nil {
			return err
		}
		return handle(ctx, m.OrderID)
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
