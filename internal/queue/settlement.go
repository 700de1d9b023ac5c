package queue

import (
	"context"

	"fulfillment-worker/internal/groupcommit"
	"fulfillment-worker/internal/logger"

	"github.com/redis/go-redis/v9"
)

// mostMessages is how many messages one script or pipeline is about at most.
const mostMessages = 512

// settlement asks for what shall become of a message.
type settlement struct {
	script *redis.Script
	keys   []string // the lane first
	args   []any
	of     *Delivery // if nobody waits for it
}

func settlementBy(script *redis.Script, keys []string, args ...any) *settlement {
	return &settlement{script: script, keys: keys, args: args}
}

// errand is a run of a script in a pipeline, for one settlement or for several acks.
type errand struct {
	settlement
	calls []*groupcommit.Call[*settlement, []int64]
	reply *redis.Cmd
}

// sendSettlements sends all the settlements that have gathered in one round trip.
func (s *session) sendSettlements(calls []*groupcommit.Call[*settlement, []int64]) {
	logger.Flush(s.log) // what is said of an order is out before its message is forgotten
	ctx, cancel := bounded(context.Background())
	defer cancel()
	s.cfg.Metrics.Settled(len(calls))
	errands := bundle(calls)
	_, _ = s.rdb.control.Pipelined(ctx, func(p redis.Pipeliner) error { // each has its own error
		for _, e := range errands {
			e.reply = e.script.EvalSha(ctx, p, e.keys, e.args...)
		}
		return nil
	})
	for _, e := range errands {
		if redis.HasErrorPrefix(e.reply.Err(), "NOSCRIPT") { // Redis is new
			e.reply = e.script.Eval(ctx, s.rdb.control, e.keys, e.args...)
		}
		e.answer()
	}
}

// bundle makes one errand of all acks in a lane.
func bundle(calls []*groupcommit.Call[*settlement, []int64]) (errands []*errand) {
	acks := map[string]*errand{} // by lane
	for _, c := range calls {
		request, lane := c.Request, c.Request.keys[0]
		if request.script != ackScript {
			errands = append(errands, &errand{settlement: *request, calls: []*groupcommit.Call[*settlement, []int64]{c}})
			continue
		}
		e := acks[lane]
		if e == nil {
			args := make([]any, 0, len(calls)*len(request.args))
			e = &errand{settlement: settlement{script: ackScript, keys: request.keys, args: args}}
			acks[lane] = e
			errands = append(errands, e)
		}
		e.args = append(e.args, request.args...)
		e.calls = append(e.calls, c)
	}
	return errands
}

// answer gives each call what the script has answered.
func (e *errand) answer() {
	answer, err := e.reply.Int64Slice()
	for _, c := range e.calls {
		c.Answer, c.Err = answer, err
	}
}
