package queue

import (
	"context"
	_ "embed"
	"encoding/json"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/peek.lua
var peekLua string

//go:embed lua/putback.lua
var putbackLua string

var (
	peekScript    = redis.NewScript(peekLua)
	putbackScript = redis.NewScript(putbackLua)
)

// page bounds what one look at a long collection returns.
const page = 500

// Front returns the oldest waiting messages, the oldest first, and whether the queue goes
// on behind them.
func (q *Queue) Front(ctx context.Context) (payloads []string, more bool, err error) {
	_, behind, payloads, err := q.peek(ctx, q.keys.Queue(), 0)
	return payloads, behind > 0, err
}

// Elsewhere calls message for each message that is in hand or delayed, and letter for
// the order of each dead letter that has one. What moves meanwhile may be missed, or seen
// twice. In hand, what is longer than MaxMessageBytes is left out: it can only become a
// dead letter.
func (q *Queue) Elsewhere(ctx context.Context, message func(payload string), letter func(orderID string)) error {
	r := Reader{q.rdb.control, q.keys}
	for delayed, err := range r.Delayed(ctx) {
		if err != nil {
			return err
		}
		message(delayed.Payload)
	}
	if err := q.eachInHand(ctx, message); err != nil {
		return err
	}
	for dead, err := range r.Letters(ctx, Selection{}) {
		if err != nil {
			return err
		}
		if id := dead.Fields["order_id"]; id != "" {
			letter(id)
		}
	}
	return nil
}

// peek reads a page of a list, how many messages it has looked at for it, and how many
// are left behind it.
func (q *Queue) peek(ctx context.Context, list string, skip int64) (seen, behind int64, payloads []string, err error) {
	answer, err := q.run(ctx, peekScript, []string{list}, skip, page, q.cfg.MaxMessageBytes).Slice()
	if err != nil {
		return 0, 0, nil, err
	}
	for _, payload := range answer[2].([]any) {
		payloads = append(payloads, payload.(string))
	}
	return answer[0].(int64), answer[1].(int64), payloads, nil
}

func (q *Queue) eachInHand(ctx context.Context, message func(string)) error {
	instances, err := q.traces(ctx)
	if err != nil {
		return err
	}
	for instance := range instances {
		if err := q.each(ctx, q.keys.Processing(instance), message); err != nil {
			return err
		}
	}
	return nil
}

// each calls message for each message of a list.
func (q *Queue) each(ctx context.Context, list string, message func(string)) error {
	for skip, behind := int64(0), int64(1); behind > 0; {
		seen, left, payloads, err := q.peek(ctx, list, skip)
		if err != nil {
			return err
		}
		for _, payload := range payloads {
			message(payload)
		}
		skip, behind = skip+seen, left
	}
	return nil
}

// traces are the instances of which SCAN finds a list or a description. A list of a
// lane, <instance>:<lane>, counts as an instance that its owner speaks for.
func (q *Queue) traces(ctx context.Context) (map[string]bool, error) {
	node, err := master(ctx, q.rdb.control, q.keys.Queue())
	if err != nil {
		return nil, err
	}
	instances := map[string]bool{}
	iter := node.Scan(ctx, 0, q.keys.Pattern(), 1000).Iterator()
	for iter.Next(ctx) {
		for _, prefix := range []string{q.keys.Processing(""), q.keys.Worker("")} {
			if name, ok := strings.CutPrefix(iter.Val(), prefix); ok {
				instances[name] = true
			}
		}
	}
	return instances, iter.Err()
}

// PutBack queues messages that Redis has lost, oldest first, at the front. Their orders
// may be taken over at once. An error leaves open whether it was done: look before it
// is called for the same orders again.
func (q *Queue) PutBack(ctx context.Context, payloads, orderIDs []string) error {
	messages, err := json.Marshal(payloads)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	node, err := master(ctx, q.rdb.control, q.keys.Queue())
	if err != nil {
		return err
	}
	return putbackScript.Run(ctx, node,
		[]string{q.keys.Queue(), q.keys.Returned(), q.keys.Reconciled(), q.keys.Events()},
		messages, strings.Join(orderIDs, " "), q.cfg.Worker,
	).Err()
}

// LookDue is for how long no worker need look for what Redis has lost; 0 is that it is
// time.
func (q *Queue) LookDue(ctx context.Context) (time.Duration, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	left, err := q.rdb.control.PTTL(ctx, q.keys.Looked()).Result()
	return max(0, left), err
}

// Looked notes that somebody has just looked, so that nobody else does for so long.
func (q *Queue) Looked(ctx context.Context, pause time.Duration) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return q.rdb.control.Set(ctx, q.keys.Looked(), q.cfg.Worker, pause).Err()
}
