package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// options are what the user asks for.
type options struct {
	seed     uint64
	duration time.Duration // of the faults
	rate     int           // orders a second
	floor    float64       // of the throughput: a run with less shows nothing
	slack    time.Duration // beyond every bound, for a busy machine
	faults   []*fault
	profile  profile
	site     site
}

const (
	warmUp    = 4 * time.Second // with no fault: the throughput before, and again after
	sweepEach = time.Second
)

// chaos is one run.
type chaos struct {
	options
	*clients
	*account

	env      environment
	plan     plan
	history  *history
	producer *producer
	nemesis  *nemesis
	auditor  *auditor
	report   *report
	lastDead string // id of the last dead letter of others'
}

// run does it all: load, faults, calm, drain, look.
func (c *chaos) run(ctx context.Context) (err error) {
	if err := c.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.cleanUp()) }()
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	var followers sync.WaitGroup
	followers.Go(func() { c.auditor.run(following) })
	followers.Go(func() {
		for sleep(following, sweepEach) {
			c.history.sweep(false)
		}
	})
	defer followers.Wait()
	defer stopFollowing()

	c.report.Begin, c.midnight = time.Now(), time.Now()
	c.history.start()
	if err := c.load(ctx); err != nil {
		return err
	}
	c.drain(ctx)
	stopFollowing()
	followers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.look(ctx)
}

// prepare makes the audit, and finds where what is ours begins.
func (c *chaos) prepare(ctx context.Context) error {
	if _, err := c.db.Exec(ctx, auditSchema); err != nil {
		return fmt.Errorf("make the audit: %w", err)
	}
	ids, err := c.producer.reserve(ctx, 1)
	if err != nil {
		return err
	}
	c.history.base = ids[0]
	c.lastDead = "0"
	newest, err := c.rdb.XRevRangeN(ctx, deadKey, "+", "-", 1).Result()
	if err == nil && len(newest) > 0 {
		c.lastDead = newest[0].ID
	}
	return err
}

func (c *chaos) cleanUp() error {
	limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return persist(limited, "remove the audit", func(ctx context.Context) error {
		_, err := c.db.Exec(ctx, removeAudit)
		return err
	})
}

// load lets orders come in, before, during and after the faults.
func (c *chaos) load(ctx context.Context) error {
	ordering, stop := context.WithCancel(ctx)
	begun, giveUp := context.WithTimeout(context.WithoutCancel(ctx), c.duration+10*time.Minute)
	defer giveUp()
	var producing sync.WaitGroup
	producing.Go(func() { c.producer.run(ordering, begun) })
	defer producing.Wait()
	defer stop()

	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, ok := c.nemesis.everyone(time.Now()).wait(limited); !ok {
		return errors.New("the workers do not fulfil orders")
	}
	c.report.Before = c.throughput(ctx)
	c.line("\n%d orders/s come in, %.0f/s are fulfilled; one fault at a time", c.rate, c.report.Before)
	begin := time.Now()
	c.nemesis.carryOut(ctx, c.plan)
	c.report.During = c.history.rate(begin, time.Now())
	c.report.FaultsBegin, c.report.FaultsEnd = begin, time.Now()
	c.line("\nthe faults are over")
	c.nemesis.steady(ctx)
	c.await(ctx, 30*time.Second, func() bool { return c.history.outstanding() < 3*c.rate }) // what has piled up
	c.report.After = c.throughput(ctx)
	return nil
}

// throughput is that of the next few seconds.
func (c *chaos) throughput(ctx context.Context) float64 {
	begin := time.Now()
	sleep(ctx, warmUp)
	return c.history.rate(begin, time.Now())
}

// drain waits until every order is fulfilled and nothing is left in Redis, then stops
// the workers. It waits no longer than the promises say.
func (c *chaos) drain(ctx context.Context) {
	begin := time.Now()
	limit := c.profile.reconciled() + c.profile.OrderTimeout + c.profile.Lease + patience
	c.await(ctx, limit, func() bool {
		open, _, err := c.unfulfilled(ctx, c.history.base)
		return err == nil && len(open) == 0
	})
	c.await(ctx, patience, func() bool {
		left, err := c.left(ctx)
		return err == nil && !slices.ContainsFunc(left, func(key string) bool { return !ofLiving(key) })
	})
	c.report.Drained = time.Since(begin)
	var stops sync.WaitGroup
	for _, w := range c.env.Workers() {
		stops.Go(func() {
			i := &injection{nemesis: c.nemesis, worker: w}
			if err := i.terminate(); err != nil {
				c.nemesis.trouble("%v", err)
			}
		})
	}
	stops.Wait()
}

// await waits until done says so, or for so long.
func (c *chaos) await(ctx context.Context, within time.Duration, done func() bool) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !done() && sleep(limited, 100*time.Millisecond) {
		continue
	}
}

// look reads what is left, and sums up.
func (c *chaos) look(ctx context.Context) (err error) {
	if err := c.auditor.finish(ctx); err != nil {
		return err
	}
	c.history.sweep(true)
	r := c.report
	r.Tally, r.PerSecond, r.Lives = c.history.sum()
	r.HistoryBegin = c.history.begin
	err = persist(ctx, "count the orders", func(ctx context.Context) (err error) {
		r.Lost, r.InTable, err = c.unfulfilled(ctx, c.history.base)
		return err
	})
	if err != nil {
		return err
	}
	r.Vanished = c.history.vanished(r.Lost)
	if r.Burials, err = c.producer.burials(ctx, c.lastDead); err != nil {
		return err
	}
	if r.Left, err = c.left(ctx); err != nil {
		return err
	}
	if len(c.env.Workers()) == 0 { // theirs live on
		r.Left = slices.DeleteFunc(r.Left, ofLiving)
	}
	c.nemesis.mu.Lock()
	defer c.nemesis.mu.Unlock()
	r.Injuries, r.Troubles = c.nemesis.injuries, c.nemesis.troubles
	r.Inserts, r.Pushes = c.producer.inserts.said(), c.producer.pushes.said()
	return nil
}

// left are the keys that are left over: marks of messages that a fault has deleted are
// not, for nobody can know that they are of no use.
func (c *chaos) left(ctx context.Context) ([]string, error) {
	keys, err := c.leftovers(ctx)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, key := range keys {
		marks, known := c.marks(ctx, key)
		c.nemesis.mu.Lock()
		excused := known && !slices.ContainsFunc(marks, func(m string) bool { return !c.nemesis.deleted[m] })
		c.nemesis.mu.Unlock()
		if !excused {
			left = append(left, key)
		}
	}
	return left, nil
}

// marks are the digests in a key that holds such.
func (c *chaos) marks(ctx context.Context, key string) (digests []string, known bool) {
	var err error
	switch key {
	case tag + "deliveries", tag + "returned":
		digests, err = c.rdb.HKeys(ctx, key).Result()
	default:
		return nil, false
	}
	return digests, err == nil || errors.Is(err, redis.Nil)
}

// placesOf are the names of the workers' places.
func placesOf(env environment) (names []string) {
	for _, w := range env.Workers() {
		names = append(names, w.Name())
	}
	return names
}

// ofLiving reports whether a key is one that a living worker has.
func ofLiving(key string) bool {
	return key == workersKey || strings.HasPrefix(key, tag+"worker:")
}
