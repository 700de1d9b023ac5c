package inspect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/order"

	"github.com/redis/go-redis/v9"
)

// Status is the queue in figures.
type Status struct {
	Queue   string `json:"queue"`
	Waiting int64  `json:"waiting"`

	// OldestAge is for how long the oldest waiting message has been queued, by its
	// own timestamp; nil where none waits or it has no timestamp.
	OldestAge *Millis `json:"oldest_age_ms"`

	InHand  int64 `json:"in_hand"`
	Delayed int64 `json:"delayed"`
	Dead    int64 `json:"dead"`

	// Reconciled is how many messages were put back that Redis had lost.
	Reconciled int64 `json:"reconciled"`

	Workers map[State]int          `json:"workers"` // every state has its entry
	Paused  *Pause                 `json:"paused"`  // nil while workers may claim
	Orders  map[order.Status]int64 `json:"orders"`
}

// Pause says who keeps the workers from claiming, and since when.
type Pause struct {
	By    string `json:"by"`
	Since string `json:"since"`
}

// Status counts. PostgreSQL is asked after Redis.
func (i *Inspector) Status(ctx context.Context) (Status, error) {
	var waiting, delayed, dead *redis.IntCmd
	var oldest *redis.StringSliceCmd
	var texts *redis.SliceCmd
	p, err := i.take(ctx, func(tx redis.Pipeliner) {
		waiting = tx.LLen(ctx, i.keys.Queue())
		oldest = tx.LRange(ctx, i.keys.Queue(), -1, -1)
		delayed = tx.ZCard(ctx, i.keys.Delayed())
		dead = tx.XLen(ctx, i.keys.Dead())
		texts = tx.MGet(ctx, i.keys.Paused(), i.keys.Reconciled())
	})
	if err != nil {
		return Status{}, fmt.Errorf("look into Redis: %w", err)
	}
	orders, err := i.countByStatus(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("count orders in PostgreSQL: %w", err)
	}
	paused, _ := texts.Val()[0].(string) // "" where there is none
	reconciled, _ := texts.Val()[1].(string)
	s := Status{
		Queue:     i.keys.Queue(),
		Waiting:   waiting.Val(),
		OldestAge: oldestAge(oldest.Val(), p.now),
		Delayed:   delayed.Val(),
		Dead:      dead.Val(),
		Workers:   map[State]int{Alive: 0, Lapsed: 0, Condemned: 0, Unregistered: 0},
		Paused:    readPause(paused),
		Orders:    orders,
	}
	s.Reconciled, _ = strconv.ParseInt(reconciled, 10, 64) // Redis keeps it a number
	for _, h := range p.workers {
		s.InHand += int64(len(h.payloads))
		s.Workers[h.state]++
	}
	return s, nil
}

// oldestAge is the age of the message in tail, the queue's last, if it tells.
func oldestAge(tail []string, now time.Time) *Millis {
	if len(tail) == 0 {
		return nil
	}
	m, _ := order.Decode([]byte(tail[0])) // what it could read will do
	if m.Queued.IsZero() {
		return nil
	}
	return millis(max(0, now.Sub(m.Queued))) // the publisher's clock may be ahead
}

// Paused says who keeps the workers from claiming; nil is nobody. It asks Redis alone.
func (i *Inspector) Paused(ctx context.Context) (*Pause, error) {
	text, err := i.rdb.Get(ctx, i.keys.Paused()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("look into Redis: %w", err)
	}
	return readPause(text), nil
}

// readPause reads "<who> <when>"; who may hold blanks.
func readPause(text string) *Pause {
	if text == "" {
		return nil
	}
	if cut := strings.LastIndexByte(text, ' '); cut >= 0 {
		return &Pause{By: text[:cut], Since: text[cut+1:]}
	}
	return &Pause{By: text}
}

// Millis is a duration that JSON shows in whole milliseconds.
type Millis time.Duration

// MarshalJSON writes the milliseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	return fmt.Append(nil, time.Duration(m).Milliseconds()), nil
}

// Duration is m for arithmetic.
func (m Millis) Duration() time.Duration { return time.Duration(m) }

func millis(d time.Duration) *Millis {
	m := Millis(d)
	return &m
}
