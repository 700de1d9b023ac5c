package queue

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"time"

	"fulfillment-worker/internal/outage"

	"github.com/redis/go-redis/v9"
)

// ErrLeaseLost is the cause with which handlers are cancelled when the worker finds
// that it was presumed dead: what it held is somebody else's now.
var ErrLeaseLost = errors.New("the lease was lost")

//go:embed lua/join.lua
var joinLua string

//go:embed lua/beat.lua
var beatLua string

//go:embed lua/leave.lua
var leaveLua string

var (
	joinScript  = redis.NewScript(joinLua)
	beatScript  = redis.NewScript(beatLua)
	leaveScript = redis.NewScript(leaveLua)
)

// leaveLimit is more than any worker can hold, so that one run hands all back.
const leaveLimit = 5000

// handOverTime bounds the last call of a worker that leaves.
const handOverTime = 700 * time.Millisecond

// join registers the instance; it must not claim before.
func (q *Queue) join(ctx context.Context, instance string) error {
	asked := time.Now()
	now, err := q.run(ctx, joinScript,
		[]string{q.keys.Workers(), q.keys.Worker(instance), q.keys.Events()},
		instance, q.cfg.Lease.Milliseconds(), hostName(), os.Getpid(), q.cfg.Version, q.cfg.Concurrency,
	).Int64()
	if err == nil {
		q.cfg.Metrics.Renewed(asked, time.UnixMilli(now))
	}
	return err
}

// beat renews the lease. It returns ErrLeaseLost if there is none any more. Either client
// will do: the connections of the one may all be busy, the other may get none.
func (q *Queue) beat(ctx context.Context, instance string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, min(q.cfg.Lease/3, handOverTime))
	defer cancel()
	for _, client := range []redis.UniversalClient{q.rdb.blocking, q.rdb.control} {
		asked := time.Now()
		var now int64
		now, err = beatScript.Run(ctx, client,
			[]string{q.keys.Workers(), q.keys.Worker(instance)},
			instance, q.cfg.Lease.Milliseconds(), q.cfg.Metrics.Tally().String(),
		).Int64()
		if err == nil && now < 0 {
			return ErrLeaseLost
		}
		if err == nil {
			q.cfg.Metrics.Renewed(asked, time.UnixMilli(now))
		}
		if err == nil || isReply(err) {
			return err
		}
	}
	return err
}

// leave hands back what the instance holds, and ends its lease. What it cannot
// hand back, because Redis is away, a reaper will find.
func (q *Queue) leave(ctx context.Context, instance string) (handedBack int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOverTime)
	defer cancel()
	err = outage.RideQuietly(ctx, q.log, "leave", isReply, func() error {
		for {
			moved, err := q.run(ctx, leaveScript,
				append([]string{
					q.keys.Workers(), q.keys.Worker(instance), q.keys.Queue(), q.keys.Redelivered(), q.keys.Events(),
				}, q.keys.allLanes(instance)...),
				instance, leaveLimit,
			).Int()
			handedBack += moved
			if err != nil || moved < leaveLimit {
				return err
			}
		}
	})
	return handedBack, err
}

// keepLease beats at a third of the lease until ctx is done, or until the lease is
// lost.
func (s *session) keepLease(ctx context.Context) {
	for sleep(ctx, s.cfg.Lease/3) {
		err := outage.Ride(ctx, s.log, "renew the lease", func() error {
			s.beatTurn.mark()
			err := s.beat(context.WithoutCancel(ctx), s.instance)
			if errors.Is(err, ErrLeaseLost) {
				return outage.Stop(err)
			}
			return err
		})
		if errors.Is(err, ErrLeaseLost) {
			if ctx.Err() == nil { // otherwise it has left by itself meanwhile
				s.lose(ctx)
			}
			return
		}
	}
}

// lose ends a session that was presumed dead; the consumer joins anew.
func (s *session) lose(ctx context.Context) {
	if s.live.Err() == nil {
		s.cfg.Metrics.LeaseLost()
		s.log.WarnContext(ctx, "lease lost, joining anew")
	}
	s.end(ErrLeaseLost)
}
