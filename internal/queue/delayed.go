package queue

import (
	"context"
	_ "embed"
	"log/slog"
	"time"

	"fulfillment-worker/internal/metrics"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/due.lua
var dueLua string

var dueScript = redis.NewScript(dueLua)

const (
	dueEvery = time.Second // longest pause between two looks at the delayed set
	dueLimit = 200         // messages moved in one script
)

// Promoter puts delayed messages back into the queue when their time has come.
// Every worker runs one; any number may run at once.
type Promoter struct {
	*Queue
	log *slog.Logger
}

// NewPromoter returns a promoter of q.
func NewPromoter(q *Queue) *Promoter {
	return &Promoter{Queue: q, log: q.log.With("actor", "delayed")}
}

// Run promotes until ctx is done and returns nil. A turn that fails is logged and the
// next one tries again.
func (p *Promoter) Run(ctx context.Context) error {
	refused := false // the last turn was
	for {
		p.cfg.Metrics.Turned(metrics.Promote)
		wait, err := p.once(ctx)
		if err != nil {
			if isReply(err) && !refused { // an outage others say
				p.log.WarnContext(ctx, "promote refused", "error", err)
			}
			wait = dueEvery
		}
		refused = err != nil && isReply(err)
		select {
		case <-ctx.Done():
			return nil
		case <-p.delayedOne:
		case <-time.After(wait):
		}
	}
}

// wakePromoter lets the promoter of this process look at once, so that a short wait is
// not rounded up to its pause.
func (q *Queue) wakePromoter() {
	select {
	case q.delayedOne <- struct{}{}:
	default: // it is told already
	}
}

// once moves what is due and returns how long to wait before the next look. An empty
// set costs one command.
func (p *Promoter) once(ctx context.Context) (time.Duration, error) {
	short, cancel := bounded(ctx)
	defer cancel()
	waiting, err := p.rdb.control.Exists(short, p.keys.Delayed()).Result()
	if err != nil || waiting == 0 {
		return dueEvery, err
	}
	result, err := p.run(ctx, dueScript, []string{p.keys.Delayed(), p.keys.Queue()}, dueLimit).Int64Slice()
	if err != nil {
		return 0, err
	}
	moved, next := result[0], time.Duration(result[1])*time.Millisecond
	p.cfg.Metrics.Promoted(int(moved))
	if moved > 0 {
		p.log.DebugContext(ctx, "promoted", "messages", moved)
	}
	if next < 0 {
		return dueEvery, nil
	}
	return min(dueEvery, next), nil
}
