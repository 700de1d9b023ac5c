package inspect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/queue"

	"github.com/redis/go-redis/v9"
)

// Letter is a dead letter.
type Letter struct {
	ID            string       `json:"id"`
	At            time.Time    `json:"at"` // when it was made
	Reason        queue.Reason `json:"reason"`
	Error         string       `json:"error"`
	OrderID       int64        `json:"order_id"` // 0 where nobody knew
	CorrelationID string       `json:"correlation_id"`
	Deliveries    int64        `json:"deliveries"` // charged until then
	Instance      string       `json:"instance"`   // that gave it up, or was given up
	Bytes         int          `json:"bytes"`      // of the payload
	Payload       string       `json:"payload,omitempty"`
}

// ErrNoLetter means that there is no dead letter with that id: it never was, or is requeued
// or dropped by now.
var ErrNoLetter = errors.New("no such dead letter")

// Letters are dead letters of a selection, so many at most or all if limit is 0, and whether
// there are more: those after the last one's id. It asks Redis alone.
func (i *Inspector) Letters(ctx context.Context, s queue.Selection, limit int) (letters []Letter, more bool, err error) {
	letters = []Letter{}
	for letter, err := range i.reader.Letters(ctx, s) {
		if err != nil {
			return nil, false, fmt.Errorf("read dead letters from Redis: %w", err)
		}
		if limit > 0 && len(letters) == limit {
			return letters, true, nil
		}
		letters = append(letters, readLetter(letter))
	}
	return letters, false, nil
}

// Letter is the dead letter with that id, with so much of its payload at most, or
// [ErrNoLetter]. It asks Redis alone.
func (i *Inspector) Letter(ctx context.Context, id string, most int) (Letter, error) {
	letter, err := i.reader.Letter(ctx, id, most)
	switch {
	case errors.Is(err, redis.Nil):
		return Letter{}, fmt.Errorf("%w: %s", ErrNoLetter, id)
	case errors.Is(err, queue.ErrLetterID):
		return Letter{}, err
	case err != nil:
		return Letter{}, fmt.Errorf("read a dead letter from Redis: %w", err)
	}
	return readLetter(letter), nil
}

func readLetter(l queue.Letter) Letter {
	number := func(field string) int64 {
		n, _ := strconv.ParseInt(l.Fields[field], 10, 64) // 0 where it is unknown
		return n
	}
	return Letter{
		ID:            l.ID,
		At:            streamTime(l.ID),
		Reason:        queue.Reason(l.Fields["reason"]),
		Error:         l.Fields["error"],
		OrderID:       number("order_id"),
		CorrelationID: l.Fields["correlation_id"],
		Deliveries:    number("deliveries"),
		Instance:      l.Fields["instance"],
		Bytes:         l.Length,
		Payload:       l.Fields["payload"],
	}
}

// streamTime is when an entry of a stream was made, by Redis's clock.
func streamTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseInt(ms, 10, 64) // Redis made it
	return time.UnixMilli(n).UTC()
}
