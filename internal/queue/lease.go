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
const leaveLimit = 10_000

// handOverTime bounds the last call of a worker that leaves.
const handOverTime = 700 * time.Millisecond

// join registers the instance; it must not claim before.
func (s *session) join(ctx context.Context) error {
	asked := time.Now()
	now, err := s.run(ctx, joinScript,
		[]string{s.keys.Workers(), s.keys.Worker(s.instance), s.keys.Events()},
		s.instance, s.cfg.Lease.Milliseconds(), hostName(), os.Getpid(), s.cfg.Version, s.cfg.Concurrency,
	).Int64()
	if err == nil {
		s.renew(asked, now)
	}
	return err
}

// renew notes that the lease was renewed at that time of Redis's clock, in ms, because it was
// asked for at that of ours.
func (s *session) renew(asked time.Time, now int64) {
	s.renewed.Store(int64(asked.Sub(s.epoch)))
	s.cfg.Metrics.Renewed(asked, time.UnixMilli(now))
}

// leased reports whether the lease is good as far as the worker can know: it was renewed less
// than a lease ago, so that no reaper may have taken anything. It cannot know of a Redis that
// has forgotten it, nor of a machine that was suspended, whose clock stood still. Both only
// cost work that is done twice.
func (s *session) leased() bool { return s.clock()-s.renewed.Load() < int64(s.cfg.Lease) }

// beat renews the lease. It returns ErrLeaseLost if there is none any more. Either client
// will do: the connections of the one may all be busy, the other may get none.
func (s *session) beat(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, min(s.cfg.Lease/3, handOverTime))
	defer cancel()
	for _, client := range []redis.UniversalClient{s.rdb.blocking, s.rdb.control} {
		asked := time.Now()
		var now int64
		now, err = beatScript.Run(ctx, client,
			[]string{s.keys.Workers(), s.keys.Worker(s.instance)},
			s.instance, s.cfg.Lease.Milliseconds(), s.cfg.Metrics.Tally().String(),
		).Int64()
		if err == nil && now < 0 {
			return ErrLeaseLost
		}
		if err == nil {
			s.renew(asked, now)
		}
		if err == nil || isReply(err) {
			return err
		}
	}
	return err
}

// leave hands back what the instance holds, and ends its lease. What it cannot
// hand back, because Redis is away, a reaper will find.
func (s *session) leave(ctx context.Context) (handedBack int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOverTime)
	defer cancel()
	err = outage.RideQuietly(ctx, s.log, "leave", isReply, func() error {
		for {
			moved, err := s.run(ctx, leaveScript,
				append([]string{
					s.keys.Workers(), s.keys.Worker(s.instance), s.keys.Queue(), s.keys.Returned(), s.keys.Events(),
				}, s.keys.allLanes(s.instance)...),
				s.instance, leaveLimit,
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
			err := s.beat(context.WithoutCancel(ctx))
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
