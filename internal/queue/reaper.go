package queue

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"strings"
	"time"

	"fulfillment-worker/internal/crash"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/outage"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/look.lua
var lookLua string

//go:embed lua/reap.lua
var reapLua string

//go:embed lua/orphan.lua
var orphanLua string

var (
	lookScript   = redis.NewScript(lookLua)
	reapScript   = redis.NewScript(reapLua)
	orphanScript = redis.NewScript(orphanLua)
)

const (
	reapEvery  = time.Second      // longest pause between two looks at the registry
	reapLimit  = 200              // messages moved in one script
	scanEvery  = 30 * time.Second // shortest pause between two looks at all keys of the Redis
	surveyTime = 20 * time.Second // longest turn
)

// Reaper gives back what dead workers held. Every worker runs one; any number may
// run at once.
type Reaper struct {
	*Queue
	log *slog.Logger
	by  string // who reaps, for the events

	contact time.Time // since when Redis would have let everybody beat; zero: it would not
	refused bool      // whether the last turn met a refusal
	looked  time.Time // when Redis's clock was last read; zero: never
	clock   time.Time // what it said then
	scanned time.Time // when orphans were last looked for
}

// Reaped is what was given back of one dead worker.
type Reaped struct {
	Instance string `json:"instance"`
	Messages int    `json:"messages"` // that are back in the queue
	Dead     int    `json:"dead"`     // that became dead letters: they are too long
}

// NewReaper returns a reaper of q.
func NewReaper(q *Queue) *Reaper {
	return &Reaper{Queue: q, log: q.log.With("actor", "reaper"), by: q.cfg.Worker}
}

// Run reaps until ctx is done and returns nil. A turn that fails is logged and the
// next one tries again.
//
// It reaps nobody until Redis has let it write for one lease without a break: after an
// outage every lease is over, and each living worker needs time for a beat.
func (r *Reaper) Run(ctx context.Context) error {
	for {
		r.cfg.Metrics.Turned(metrics.Reap)
		wait, err := r.once(ctx)
		if err != nil {
			r.failed(ctx, err)
			wait = reapEvery
		}
		r.refused = err != nil && isReply(err)
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// Now reaps once whose lease is over, orphans included, and says what was given back. It
// waits for the same spell of contact as Run, and so takes a lease at least.
func (r *Reaper) Now(ctx context.Context) ([]Reaped, error) {
	if err := r.inContact(ctx); err != nil {
		return nil, err
	}
	if err := r.registerOrphans(ctx); err != nil {
		return nil, err
	}
	if err := r.inContact(ctx); err != nil { // the search may have taken long
		return nil, err
	}
	return r.reapAll(ctx)
}

// inContact looks at the registry until the spell of contact is long enough.
func (r *Reaper) inContact(ctx context.Context) error {
	for {
		if _, err := r.look(ctx); err != nil {
			return err
		}
		left := r.grace() - time.Since(r.contact)
		if left <= 0 {
			return nil
		}
		if !sleep(ctx, min(r.pause(), left)) {
			return ctx.Err()
		}
	}
}

// failed ends the spell of contact, unless Redis has answered: a refusal is said, once
// a spell, and one instance that cannot be reaped is no outage.
func (r *Reaper) failed(ctx context.Context, err error) {
	switch {
	case !isReply(err):
		r.contact = time.Time{}
		r.log.DebugContext(ctx, "reap failed", "error", err)
	case !r.refused:
		r.log.WarnContext(ctx, "reap refused", "error", err)
	}
}

// poolProbe is how long go-redis may go on reporting a dead Redis that is back.
const poolProbe = time.Second

// grace is for how long a reaper reaps nobody after its first contact: one lease, but no
// less than a living worker may take to notice that Redis is back, and to beat.
func (r *Reaper) grace() time.Duration {
	return max(r.cfg.Lease, outage.LongestWait+poolProbe+handOverTime)
}

// once looks at the registry, reaps whose lease is over, and returns how long to wait
// before the next look: until the next lease may be over, at most pause.
func (r *Reaper) once(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	first, err := r.look(ctx)
	if err != nil {
		return 0, err
	}
	if left := r.grace() - time.Since(r.contact); left > 0 {
		return min(r.pause(), left), nil
	}
	orphans := r.searchOrphans(ctx)
	wait, err := r.reapDue(ctx, first)
	return wait, errors.Join(orphans, err)
}

// searchOrphans looks for orphans, if it is time. A search that fails waits for its next
// time, too: it must not keep those from being reaped that are known to be dead.
func (r *Reaper) searchOrphans(ctx context.Context) error {
	if time.Since(r.scanned) <= max(r.cfg.Lease, scanEvery) {
		return nil
	}
	r.scanned = time.Now()
	ctx, cancel := context.WithTimeout(ctx, surveyTime/2)
	defer cancel()
	return r.registerOrphans(ctx)
}

// reapDue reaps whose lease is over, given the end of the first one.
func (r *Reaper) reapDue(ctx context.Context, first int64) (time.Duration, error) {
	if time.Since(r.looked) > r.cfg.Lease/3 { // the search took long: who knows who could beat meanwhile
		return 0, nil
	}
	if first < 0 {
		return r.pause(), nil
	}
	if left := time.UnixMilli(first).Sub(r.clock); left > 0 {
		return min(r.pause(), left+time.Millisecond), nil
	}
	_, err := r.reapAll(ctx)
	return reapEvery / 10, err
}

// pause is the longest between two looks: no refusal that is long enough to cost a living
// worker its lease falls between them.
func (r *Reaper) pause() time.Duration { return min(reapEvery, r.cfg.Lease/3) }

// look asks for Redis's clock and for the end of the first lease, in ms; -1 is none. The
// spell of contact lasts only while it is answered: where Redis refuses or delays it,
// the living cannot beat either.
func (r *Reaper) look(ctx context.Context) (first int64, err error) {
	asked := time.Now()
	answer, err := r.run(ctx, lookScript, []string{r.keys.Workers()}).Int64Slice()
	if err != nil {
		r.contact = time.Time{}
		return 0, err
	}
	if r.contact.IsZero() || time.Since(asked) > r.cfg.Lease/3 {
		r.contact = time.Now()
	}
	r.readClock(ctx, time.UnixMilli(answer[0]))
	return answer[1], nil
}

// readClock takes note of Redis's clock. One that has jumped ends every lease at once, or
// none for long: the living get time for a beat by the new one.
func (r *Reaper) readClock(ctx context.Context, clock time.Time) {
	if !r.looked.IsZero() {
		if jump := clock.Sub(r.clock.Add(time.Since(r.looked))); jump.Abs() > r.cfg.Lease/3 {
			r.log.WarnContext(ctx, "redis's clock has jumped", "by_seconds", jump.Seconds())
			r.contact = time.Now()
		}
	}
	r.clock, r.looked = clock, time.Now()
}

// reapAll reaps every instance whose lease is over, but for the one that this process serves
// under: who wakes after his lease is about to beat, or to find that somebody condemned him and
// to come back under another name. One that cannot be reaped does not shield the others.
func (r *Reaper) reapAll(ctx context.Context) ([]Reaped, error) {
	instances, err := r.rdb.control.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: r.keys.Workers(), Start: "-inf", Stop: r.clock.UnixMilli(), ByScore: true,
	}).Result()
	if err != nil {
		return nil, err
	}
	all := []Reaped{}
	var errs []error
	self := r.living.Load()
	for _, instance := range instances {
		if self != nil && instance == *self {
			continue
		}
		crash.At("reaping")
		one, err := r.reap(ctx, instance)
		if one.Instance != "" {
			all = append(all, one)
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// reap gives back what the instance held, in bounded steps. Any of them may be the
// last of this process: the next reaper goes on from there.
func (r *Reaper) reap(ctx context.Context, instance string) (one Reaped, err error) {
	for {
		result, err := r.run(ctx, reapScript,
			append([]string{
				r.keys.Workers(), r.keys.Worker(instance), r.keys.Queue(),
				r.keys.Deliveries(), r.keys.Returned(), r.keys.Dead(), r.keys.Events(),
			}, r.keys.allLanes(instance)...),
			instance, reapLimit, r.by, r.cfg.MaxMessageBytes,
		).Int64Slice()
		if err != nil {
			return one, err
		}
		if result[0] < 0 {
			return one, nil // it lives, or somebody else has reaped it
		}
		one.Instance = instance
		one.Messages += int(result[0])
		one.Dead += int(result[1])
		if result[2] == 0 {
			r.cfg.Metrics.Reaped(one.Messages)
			r.cfg.Metrics.Dead(string(TooLarge), one.Dead)
			r.log.WarnContext(ctx, "reaped a dead worker", "instance", instance,
				"messages", one.Messages, "dead", one.Dead)
			return one, nil
		}
		crash.At("reaped_some")
	}
}

// registerOrphans finds instances that left a list or a description but are not
// registered, and condemns them: the dead are reaped, the living join anew.
func (r *Reaper) registerOrphans(ctx context.Context) error {
	instances, err := r.traces(ctx)
	if err != nil {
		return err
	}
	for instance := range instances {
		owner, _, _ := strings.Cut(instance, ":")
		registered, err := r.run(ctx, orphanScript,
			[]string{r.keys.Workers(), r.keys.Worker(instance), r.keys.Processing(instance)},
			instance, owner,
		).Int()
		if err != nil {
			return err
		}
		if registered == 1 {
			r.log.WarnContext(ctx, "found an instance that is not registered", "instance", instance)
		}
	}
	return nil
}
