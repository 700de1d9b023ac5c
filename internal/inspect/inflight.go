package inspect

import (
	"context"
	"fmt"
	"strconv"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"

	"github.com/redis/go-redis/v9"
)

// Worker is one worker instance and what it has in hand.
type Worker struct {
	Instance string `json:"instance"`
	State    State  `json:"state"`

	// LeaseLeft is negative once the lease is over; nil for an instance that is
	// condemned or not registered.
	LeaseLeft *Millis `json:"lease_left_ms"`

	Host     string    `json:"host"` // "" where the instance has left no description
	Messages []Message `json:"messages"`
}

// Message is one message in a worker's hand.
type Message struct {
	OrderID       int64        `json:"order_id"` // 0 where the payload does not tell
	CorrelationID string       `json:"correlation_id"`
	Status        order.Status `json:"status"` // in PostgreSQL; "" where there is no such order

	// Age is for how long the instance has been working on it; nil if it has
	// claimed it and not started.
	Age *Millis `json:"age_ms"`

	Deliveries int64  `json:"deliveries"`        // charged so far
	Payload    string `json:"payload,omitempty"` // only of what is no valid message
}

// InFlight lists the workers, each with what it has in hand, oldest first. Charged
// deliveries and PostgreSQL are read after the picture of the lists is taken.
func (i *Inspector) InFlight(ctx context.Context) ([]Worker, error) {
	p, err := i.take(ctx, func(redis.Pipeliner) {})
	if err != nil {
		return nil, fmt.Errorf("look into Redis: %w", err)
	}
	var digests []string
	var ids []int64
	workers := make([]Worker, 0, len(p.workers))
	for _, h := range p.workers {
		w := h.describe(p)
		for _, payload := range h.payloads {
			digest := queue.Digest([]byte(payload))
			m := describe(payload)
			if since, ok := h.started(digest); ok {
				m.Age = millis(max(0, p.now.Sub(since)))
			}
			w.Messages = append(w.Messages, m)
			digests = append(digests, digest)
			ids = append(ids, m.OrderID)
		}
		workers = append(workers, w)
	}
	return workers, i.complete(ctx, workers, digests, ids)
}

// describe is the worker without its messages.
func (h holder) describe(p picture) Worker {
	w := Worker{Instance: h.instance, State: h.state, Host: h.facts["host"], Messages: []Message{}}
	if !h.deadline.IsZero() {
		w.LeaseLeft = millis(h.deadline.Sub(p.now))
	}
	return w
}

// describe is what the payload says about itself.
func describe(payload string) Message {
	m, err := order.Decode([]byte(payload))
	d := Message{OrderID: m.OrderID, CorrelationID: m.CorrelationID}
	if err != nil {
		d.Payload = payload
	}
	return d
}

// complete fills in what stands elsewhere. Digests has one entry per message, in
// the order of the workers.
func (i *Inspector) complete(ctx context.Context, workers []Worker, digests []string, ids []int64) error {
	charged, err := i.charged(ctx, digests)
	if err != nil {
		return err
	}
	statuses, err := i.statuses(ctx, ids)
	if err != nil {
		return fmt.Errorf("read orders from PostgreSQL: %w", err)
	}
	for w := range workers {
		for m := range workers[w].Messages {
			message := &workers[w].Messages[m]
			message.Status = statuses[message.OrderID]
			message.Deliveries, charged = charged[0], charged[1:]
		}
	}
	return nil
}

// charged are the deliveries charged so far to the messages with these digests.
func (i *Inspector) charged(ctx context.Context, digests []string) ([]int64, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	found, err := i.rdb.HMGet(ctx, i.keys.Deliveries(), digests...).Result()
	if err != nil {
		return nil, fmt.Errorf("read deliveries from Redis: %w", err)
	}
	counts := make([]int64, len(found))
	for n, count := range found {
		text, _ := count.(string)                     // nil where nothing was charged
		counts[n], _ = strconv.ParseInt(text, 10, 64) // what is no number was not charged
	}
	return counts, nil
}
