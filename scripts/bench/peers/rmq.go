package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/adjust/rmq/v5"
)

// rmqQueue is github.com/adjust/rmq.
type rmqQueue struct {
	redis    string
	poll     time.Duration
	producer rmq.Queue // one for all messages
}

// prefetch is how many messages rmq takes in advance.
const prefetch = 1000

func (q *rmqQueue) open(name string) (rmq.Connection, rmq.Queue, error) {
	failures := make(chan error, 16)
	go func() {
		for err := range failures {
			fmt.Fprintln(os.Stderr, "peers: rmq:", err)
		}
	}()
	conn, err := rmq.OpenConnection(name, "tcp", q.redis, 0, failures)
	if err != nil {
		return nil, nil, err
	}
	queue, err := conn.OpenQueue("orders")
	return conn, queue, err
}

func (q *rmqQueue) enqueue(_ context.Context, messages []message) error {
	const atOnce = 500
	var err error
	if q.producer == nil {
		_, q.producer, err = q.open("producer")
	}
	for err == nil && len(messages) > 0 {
		n := min(atOnce, len(messages))
		payloads := make([][]byte, n)
		for i, m := range messages[:n] {
			payloads[i] = m.encode()
		}
		err = q.producer.PublishBytes(payloads...)
		messages = messages[n:]
	}
	return err
}

func (q *rmqQueue) run(ctx context.Context, inHand int, handle handler) error {
	conn, queue, err := q.open("worker")
	if err != nil {
		return err
	}
	if err := queue.StartConsuming(prefetch, q.poll); err != nil {
		return err
	}
	for i := range inHand {
		if _, err := queue.AddConsumerFunc(fmt.Sprint("consumer-", i), consume(ctx, handle)); err != nil {
			return err
		}
	}
	cleanUntil(ctx, conn)
	<-conn.StopAllConsuming()
	return nil
}

func consume(ctx context.Context, handle handler) rmq.ConsumerFunc {
	return func(d rmq.Delivery) {
		m, err := decode([]byte(d.Payload()))
		if err == nil {
			err = handle(context.WithoutCancel(ctx), m.OrderID)
		}
		if err == nil {
			err = d.Ack()
		} else {
			_ = d.Reject()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "peers: rmq:", err)
		}
	}
}

// cleanUntil gives back what dead consumers held, once a second as rmq's example does: by
// itself nothing does.
func cleanUntil(ctx context.Context, conn rmq.Connection) {
	cleaner := rmq.NewCleaner(conn)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := cleaner.Clean(); err != nil {
				fmt.Fprintln(os.Stderr, "peers: rmq: clean:", err)
			}
		}
	}
}
