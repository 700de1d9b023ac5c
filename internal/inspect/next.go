package inspect

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"fulfillment-worker/internal/order"

	"github.com/redis/go-redis/v9"
)

// longestHead is how much is read of a waiting message: more than the Order API writes. A longer
// one is shown, rather than read.
const longestHead = 2048

// Waiting is a message in the queue.
type Waiting struct {
	OrderID       int64   `json:"order_id"` // 0 where the payload does not tell
	CorrelationID string  `json:"correlation_id"`
	Age           *Millis `json:"age_ms"`            // by its own timestamp; nil where it has none
	Bytes         int     `json:"bytes"`             // of the payload
	Payload       string  `json:"payload,omitempty"` // of what is no valid message, or is longer than its head: then cut
}

//go:embed next.lua
var nextLua string

var nextScript = redis.NewScript(nextLua)

// Next are the messages that are claimed next, so many at most, and how many wait. It asks
// Redis alone, and what it costs does not grow with the queue.
func (i *Inspector) Next(ctx context.Context, limit int) (messages []Waiting, total int64, err error) {
	answer, err := nextScript.RunRO(ctx, i.rdb, []string{i.keys.Queue()}, limit, longestHead).Slice()
	if err != nil {
		return nil, 0, fmt.Errorf("look into Redis: %w", err)
	}
	now := time.UnixMilli(answer[0].(int64))
	messages = []Waiting{}
	for n, head := range answer[2].([]any) {
		payload := head.(string)
		m, err := order.Decode([]byte(payload))
		w := Waiting{
			OrderID: m.OrderID, CorrelationID: m.CorrelationID, Age: oldestAge([]string{payload}, now),
			Bytes: int(answer[3].([]any)[n].(int64)),
		}
		if err != nil {
			w.Payload = payload
		}
		messages = append(messages, w)
	}
	return messages, answer[1].(int64), nil
}
