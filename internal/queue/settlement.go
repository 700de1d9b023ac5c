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

// send has the settlement go out with a pipeline. To forget one message about which nothing was
// kept takes no script. If it came back all the same, by a reaper that knows of no lease, and was
// claimed anew, its copy here may be the one that goes: its mark is nobody's business any more.
func (st *settlement) send(ctx context.Context, p redis.Pipeliner) *redis.Cmd {
	if d := st.of; d != nil && d.fresh && d.session.leased() {
		forgotten := p.Do(ctx, "lrem", d.lane.key, -1, d.payload)
		p.HDel(ctx, d.session.keys.Returned(), d.digest())
		return forgotten
	}
	return st.script.EvalSha(ctx, p, st.keys, st.args...)
}

// errand is what goes out in a pipeline, for one settlement or for several acks.
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
			e.reply = e.send(ctx, p)
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
			e = &errand{settlement: settlement{script: ackScript, keys: request.keys, args: args, of: request.of}}
			acks[lane] = e
			errands = append(errands, e)
		}
		e.args = append(e.args, request.args...)
		if e.calls = append(e.calls, c); len(e.calls) > 1 {
			e.of = nil // of many
		}
	}
	return errands
}

// answer gives each call what the script has answered.
func (e *errand) answer() {
	answer, err := e.reply.Int64Slice()
	if e.of != nil { // who asks for one to be forgotten asks for no number
		err = e.reply.Err()
	}
	for _, c := range e.calls {
		c.Answer, c.Err = answer, err
	}
}
