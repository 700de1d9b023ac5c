package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/rig"
)

const (
	sites      = 4                      // groups of workers, each with a queue to itself
	orderEvery = 100 * time.Millisecond // at each site: two workers can bear it
	workBefore = 2 * time.Second        // of a victim, at least
)

func (b *bench) killsPerSite() int {
	if b.full {
		return 5
	}
	return 1
}

// kills is how long the orders of a killed worker wait for another.
type kills struct {
	Kills   int     `json:"kills"`
	InHand  int     `json:"orders_in_hand"`
	Dropped int     `json:"orders_fulfilled_before_the_kill"`
	Lost    int     `json:"orders_lost"` // not fulfilled a minute after all is over
	Lease   float64 `json:"lease_seconds"`
	Min     float64 `json:"min_seconds"`
	P50     float64 `json:"p50_seconds"`
	P90     float64 `json:"p90_seconds"`
	Max     float64 `json:"max_seconds"`
	Queued  float64 `json:"max_seconds_after_reaping"` // until an heir had a slot free
}

// death is one kill.
type death struct {
	inHand, dropped int
	waits           []time.Duration // of each order, from the kill to its heir's log line
	queued          time.Duration   // the longest wait since the reaper's log line
}

// measureKills kills workers at several sites at once. Each kill is measured by
// itself: nobody but the two others of its site can take its orders over.
func (b *bench) measureKills(ctx context.Context) error {
	if err := b.clear(ctx); err != nil {
		return err
	}
	all := make([]*site, sites)
	for n := range all {
		all[n] = &site{bench: b, queue: "bench_kills_" + strconv.Itoa(n+1), lines: make(chan rig.Line, 10_000)}
		defer all[n].close()
		if err := all[n].open(ctx); err != nil {
			return err
		}
	}
	g, together := errgroup.WithContext(ctx)
	for _, s := range all {
		g.Go(func() error { return s.run(together) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	k, err := b.sumUpKills(ctx, all)
	if err != nil {
		return err
	}
	b.report.Kills = k
	k.print()
	return nil
}

func (k *kills) print() {
	say("\nkills: %d times kill -9 of one of three workers at the default settings, while %.1f orders/s came in; %d orders were in its hand",
		k.Kills, 1/orderEvery.Seconds(), k.InHand)
	say("  from the kill to the heir's log line about the order: min %.2f s, p50 %.2f s, p90 %.2f s, max %.2f s; the lease is %.0f s",
		k.Min, k.P50, k.P90, k.Max, k.Lease)
	say("  of it at most %.2f s after the reaper's log line; %d of the orders had been fulfilled just before the kill; %d lost",
		k.Queued, k.Dropped, k.Lost)
}

func (b *bench) sumUpKills(ctx context.Context, all []*site) (*kills, error) {
	defaults, err := config.Load(func(string) string { return "" })
	if err != nil {
		return nil, err
	}
	if err := b.awaitAll(ctx); ctx.Err() != nil {
		return nil, err
	}
	k := &kills{Lease: defaults.LeaseTTL.Seconds()}
	var waits []time.Duration
	for _, s := range all {
		for _, d := range s.deaths {
			k.Kills++
			k.InHand += d.inHand
			k.Dropped += d.dropped
			waits = append(waits, d.waits...)
			k.Queued = max(k.Queued, d.queued.Seconds())
		}
	}
	w := spread(waits)
	k.Min, k.P50, k.P90, k.Max = w.min.Seconds(), w.p50.Seconds(), w.p90.Seconds(), w.max.Seconds()
	err = b.db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE status <> 'fulfilled'`).Scan(&k.Lost)
	return k, err
}

// site is three workers on one queue, one of which is killed again and again.
type site struct {
	*bench
	queue  string
	lines  chan rig.Line
	heirs  []*rig.Worker
	deaths []death
}

// open starts the two that will survive.
func (s *site) open(ctx context.Context) error {
	for _, name := range []string{"heir-1", "heir-2"} {
		heir, _, err := s.start(ctx, name, s.queue, s.lines)
		if err != nil {
			return err
		}
		s.heirs = append(s.heirs, heir)
	}
	return nil
}

func (s *site) close() {
	for _, heir := range s.heirs {
		heir.Stop()
	}
}

// run kills one worker after the other, while orders come in.
func (s *site) run(ctx context.Context) error {
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	fed := make(chan error, 1)
	go func() { fed <- s.feed(feeding) }()
	for len(s.deaths) < s.killsPerSite() {
		d, err := s.killOne(ctx, "victim-"+strconv.Itoa(len(s.deaths)+1))
		if err != nil {
			return err
		}
		if d.inHand > 0 { // else it held nothing by chance, and shows nothing
			s.deaths = append(s.deaths, d)
		}
	}
	stop()
	return <-fed
}

// feed lets orders come in at a steady pace until ctx is done.
func (s *site) feed(ctx context.Context) error {
	tick := time.NewTicker(orderEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.order(context.WithoutCancel(ctx), s.queue, 1); err != nil {
				return err
			}
		}
	}
}

// killOne starts a worker, kills it at a moment that has nothing to do with its
// heartbeat, and waits until the others have taken over what it held.
func (s *site) killOne(ctx context.Context, name string) (death, error) {
	victim, joined, err := s.start(ctx, name, s.queue, s.lines)
	if err != nil {
		return death{}, err
	}
	if !sleep(ctx, workBefore+rand.N(2*time.Second)) {
		victim.Kill()
		return death{}, ctx.Err()
	}
	killed := victim.Kill()
	held, err := s.held(ctx, joined.Instance)
	if err != nil {
		return death{}, err
	}
	return s.succession(ctx, name, joined.Instance, killed, held)
}

// held are the orders in the list of a dead worker.
func (s *site) held(ctx context.Context, instance string) (map[int64]bool, error) {
	payloads, err := s.rdb.LRange(ctx, queue.NewKeys(s.queue).Processing(instance), 0, -1).Result()
	if err != nil {
		return nil, err
	}
	ids := map[int64]bool{}
	for _, payload := range payloads {
		m, err := order.Decode([]byte(payload))
		if err != nil {
			return nil, fmt.Errorf("in the list of %s: %w", instance, err)
		}
		ids[m.OrderID] = true
	}
	return ids, nil
}

// succession reads the logs until somebody has taken over each order of the dead.
func (s *site) succession(ctx context.Context, name, instance string, killed time.Time, held map[int64]bool) (death, error) {
	d := death{inHand: len(held)}
	var reaped time.Time
	for len(held) > 0 {
		l, err := await(ctx, s.lines, func(l rig.Line) bool { return l.Worker != name })
		if err != nil {
			return d, err
		}
		switch event := l.Event(); {
		case event == rig.Reaped && l.Instance == instance:
			reaped = l.Time
		case (event == rig.Processing || event == rig.Dropped) && held[l.OrderID]:
			delete(held, l.OrderID)
			d.waits = append(d.waits, l.Time.Sub(killed))
			if event == rig.Dropped {
				d.dropped++
			}
			if !reaped.IsZero() { // the quickest heir's line may come before the reaper's
				d.queued = max(d.queued, l.Time.Sub(reaped))
			}
		}
	}
	return d, nil
}
