package inspect

import (
	"context"
	"fmt"
	"time"

	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"

	"github.com/redis/go-redis/v9"
)

// Delayed is a message that waits for its next delivery.
type Delayed struct {
	OrderID       int64        `json:"order_id"` // 0 where the payload does not tell
	CorrelationID string       `json:"correlation_id"`
	Status        order.Status `json:"status"`            // in PostgreSQL; "" where there is no such order
	Due           Millis       `json:"due_in_ms"`         // negative once it is due
	Deliveries    int64        `json:"deliveries"`        // charged so far
	Payload       string       `json:"payload,omitempty"` // only of what is no valid message
}

// Delayed are the delayed messages that are due first, so many at most or all if limit is 0,
// and how many there are. Charged deliveries and PostgreSQL are read after that.
func (i *Inspector) Delayed(ctx context.Context, limit int64) (messages []Delayed, total int64, err error) {
	node, err := i.node(ctx)
	if err != nil {
		return nil, 0, err
	}
	var now *redis.TimeCmd
	var count *redis.IntCmd
	var first *redis.ZSliceCmd
	_, err = node.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		now = tx.Time(ctx)
		count = tx.ZCard(ctx, i.keys.Delayed())
		first = tx.ZRangeWithScores(ctx, i.keys.Delayed(), 0, limit-1) // -1 is the last one
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("look into Redis: %w", err)
	}
	messages = []Delayed{}
	var digests []string
	var ids []int64
	for _, z := range first.Val() {
		payload := z.Member.(string)
		m := describe(payload)
		messages = append(messages, Delayed{
			OrderID: m.OrderID, CorrelationID: m.CorrelationID, Payload: m.Payload,
			Due: Millis(time.UnixMilli(int64(z.Score)).Sub(now.Val())),
		})
		digests = append(digests, queue.Digest([]byte(payload)))
		ids = append(ids, m.OrderID)
	}
	charged, err := i.charged(ctx, digests)
	if err != nil {
		return nil, 0, err
	}
	statuses, err := i.statuses(ctx, ids)
	if err != nil {
		return nil, 0, fmt.Errorf("read orders from PostgreSQL: %w", err)
	}
	for n := range messages {
		messages[n].Deliveries, messages[n].Status = charged[n], statuses[messages[n].OrderID]
	}
	return messages, count.Val(), nil
}
