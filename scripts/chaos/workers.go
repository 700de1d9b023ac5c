package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

var workerFaults = []*fault{
	{
		name: "kill", about: "kill -9 of a worker with orders in hand; another is started", proof: "messages in its hand",
		lane: onWorker, needs: needWorkers, lasts: lasts(time.Second), bound: profile.takenOver, inject: kill,
	},
	{
		name: "freeze", about: "a worker is stopped for three leases and goes on", proof: "messages in its hand",
		lane: onWorker, needs: needWorkers, lasts: profile.frozen, bound: profile.takenOver, inject: freeze,
	},
	{
		name: "zombie", about: "a worker is stopped until another has begun one of its orders, and goes on at that moment", proof: "messages in its hand",
		lane: onWorker, needs: needWorkers, lasts: profile.takenOver, bound: profile.takenOver, inject: zombie,
	},
	{
		name: "roll", about: "SIGTERM to a busy worker; it must exit 0 in time; another is started", proof: "messages in its hand",
		lane: onWorker, needs: needWorkers, lasts: lasts(time.Second), bound: profile.back, inject: roll,
	},
	{
		name: "crash", about: "a worker dies by kill -9 at a line between claim and ack, or while it joins or leaves", proof: "deaths there",
		lane: onWorker, needs: needWorkers | needCrashes, lasts: lasts(2 * time.Second), bound: profile.takenOver, inject: crashAt,
	},
	{
		name: "crash-reaping", about: "a worker is killed, and so is each that begins to reap it", proof: "deaths while reaping",
		lane: onAll, needs: needWorkers | needCrashes, lasts: func(p profile) time.Duration { return 3*p.Lease + 4*time.Second },
		bound: func(p profile) time.Duration { return 3 * p.takenOver() }, inject: crashReaping,
	},
	{
		name: "cut-redis", about: "a worker is cut off from Redis, not from PostgreSQL, for three leases", proof: "messages in its hand",
		lane: onWorker, needs: needNetworks, lasts: profile.frozen, bound: profile.takenOver, inject: cutRedis,
	},
	{
		name: "cut-postgres", about: "a worker is cut off from PostgreSQL, not from Redis, for three leases", proof: "transfers held up",
		lane: onWorker, deafens: true, needs: needNetworks, lasts: profile.frozen, bound: profile.back, inject: cutPostgres,
	},
}

// busy waits until the worker has something in hand, and returns its instance.
func (i *injection) busy(ctx context.Context) (instance string, err error) {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		instance = i.history.instance(i.worker.Life())
		if instance != "" {
			if held, err := i.held(limited, instance); err == nil && len(held) > 0 {
				return instance, nil
			}
		}
		if !sleep(limited, 5*time.Millisecond) {
			return "", errMissed
		}
	}
}

// revive starts a worker in the place of one that is dead.
func (i *injection) revive() error { return i.worker.Start("") }

func kill(ctx context.Context, i *injection) (wound, error) {
	instance, err := i.busy(ctx)
	if err != nil {
		return wound{}, err
	}
	since, dead := time.Now(), i.worker.Life()
	if err := i.worker.Kill(); err != nil {
		return wound{}, err
	}
	held, _ := i.held(ctx, instance) // without an answer, nothing is proved
	w := wound{len(held), i.heirs(held, dead, since)}
	return w, i.revive()
}

func freeze(ctx context.Context, i *injection) (wound, error) {
	instance, err := i.busy(ctx)
	if err != nil {
		return wound{}, err
	}
	return i.silence(ctx, instance, i.worker.Freeze, func() error { return i.worker.Thaw() })
}

// zombie lets two workers have one order in hand: only the token tells whose it is.
func zombie(ctx context.Context, i *injection) (wound, error) {
	instance, err := i.busy(ctx)
	if err != nil {
		return wound{}, err
	}
	since := time.Now()
	if err := i.worker.Freeze(); err != nil {
		return wound{}, err
	}
	held, _ := i.held(ctx, instance)
	theirs := map[int64]bool{}
	for _, payload := range held {
		theirs[orderOf(payload)] = true
	}
	dead := i.worker.Life()
	heir := i.history.watch(func(e event) bool { return e.what == began && e.actor != dead && theirs[e.order] && e.at.After(since) })
	defer i.history.forget(heir)
	cure := i.heirs(held, dead, since)
	select {
	case <-heir.done:
		return wound{len(held), cure}, i.worker.Thaw()
	case <-ctx.Done():
	case <-time.After(2 * i.profile.takenOver()):
	}
	i.history.drop(cure)
	return wound{}, i.worker.Thaw()
}

func cutRedis(ctx context.Context, i *injection) (wound, error) {
	instance, err := i.busy(ctx)
	if err != nil {
		return wound{}, err
	}
	return i.silence(ctx, instance, i.worker.Redis().Cut, func() error {
		_, err := i.worker.Redis().Mend()
		return err
	})
}

// silence makes Redis hear nothing of a worker until it must have been presumed dead. It
// is proved by what a reaper gives back.
func (i *injection) silence(ctx context.Context, instance string, begin, end func() error) (wound, error) {
	reap := i.history.watch(func(e event) bool { return e.what == reaped && e.instance == instance })
	defer i.history.forget(reap)
	since := time.Now()
	if err := begin(); err != nil {
		return wound{}, err
	}
	held, _ := i.held(ctx, instance)
	cure := i.heirs(held, i.worker.Life(), since)
	sleep(ctx, i.profile.frozen())
	err := end()
	select {
	case <-reap.done:
		return wound{len(held), cure}, err
	case <-time.After(2 * time.Second): // the log may be late on a busy machine
		i.history.drop(cure)
		return wound{}, err
	}
}

func cutPostgres(ctx context.Context, i *injection) (wound, error) {
	if err := i.worker.Postgres().Cut(); err != nil {
		return wound{}, err
	}
	sleep(ctx, i.profile.frozen())
	held, err := i.worker.Postgres().Mend()
	return wound{held, i.again(i.worker, time.Now())}, err
}

func roll(ctx context.Context, i *injection) (wound, error) {
	instance, err := i.busy(ctx)
	if err != nil {
		return wound{}, err
	}
	held, _ := i.held(ctx, instance)
	if err := i.terminate(); err != nil {
		return wound{}, err
	}
	w := wound{len(held), i.again(i.worker, time.Now())}
	return w, i.revive()
}

// terminate stops the worker in order, and complains where it does not stop so.
func (i *injection) terminate() error {
	limit := i.profile.Shutdown + 3*time.Second // as promised, and a moment for a busy machine
	if err := i.worker.Terminate(); err != nil {
		return err
	}
	select {
	case <-i.worker.Ended():
		early := i.history.instance(i.worker.Life()) == "" // it may not have listened for signals yet
		if code := i.worker.ExitCode(); code > 0 || code < 0 && !early {
			return fmt.Errorf("%s exited with code %d after SIGTERM", i.worker.Life(), code)
		}
		return nil
	case <-time.After(limit):
		i.trouble("%s had not stopped %s after SIGTERM", i.worker.Life(), short(limit))
		return i.worker.Kill()
	}
}

// crashPoints are the lines at which the worker's torture build can die by itself.
var crashPoints = []string{
	"joined", "claimed", "row_claimed", "started", "working", "worked", "fulfilled", "finished", "acked", "leaving",
}

func crashAt(ctx context.Context, i *injection) (wound, error) {
	point := crashPoints[i.rng.IntN(len(crashPoints))]
	passage := 1 + i.rng.IntN(20)
	if point == "joined" || point == "leaving" {
		passage = 1
	}
	if err := i.terminate(); err != nil {
		i.trouble("%v", err)
	}
	if err := i.worker.Start(fmt.Sprintf("%s:%d", point, passage)); err != nil {
		return wound{}, err
	}
	if point == "leaving" {
		sleep(ctx, i.between(300*time.Millisecond, time.Second))
		// One whose lease Redis has forgotten leaves, and dies, by itself.
		if err := i.worker.Terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return wound{}, err
		}
	}
	died := i.dies(ctx, 5*time.Second)
	since, dead := time.Now(), i.worker.Life()
	w := wound{}
	if died {
		held, _ := i.held(ctx, i.history.instance(dead))
		w = wound{1, i.heirs(held, dead, since)}
		if w.cure == nil { // nothing in hand: all there is to come back is the worker
			w.cure = i.again(i.worker, since)
		}
	} else if err := i.worker.Kill(); err != nil {
		return w, err
	}
	return w, i.revive()
}

// dies waits for the worker to end by the SIGKILL that a crash point is: an exit code is
// a death of another kind.
func (i *injection) dies(ctx context.Context, within time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(within):
		return false
	case <-i.worker.Ended():
		return i.worker.ExitCode() < 0
	}
}

// crashReaping has every worker but one die as soon as it begins to reap that one.
func crashReaping(ctx context.Context, i *injection) (w wound, err error) {
	all := i.env.Workers()
	victim := i.rng.IntN(len(all))
	var reapers []*injection
	defer func() { // whatever happens, none of them stays as it is
		for _, r := range reapers {
			err = errors.Join(err, r.replace(""))
		}
	}()
	for n, other := range all {
		if n == victim {
			continue
		}
		r := &injection{nemesis: i.nemesis, worker: other, rng: i.rng}
		reapers = append(reapers, r)
		if err := r.replace("reaping"); err != nil {
			return wound{}, err
		}
	}
	sleep(ctx, max(i.profile.Lease, 2*time.Second)+time.Second) // a worker that has just begun reaps nobody
	at := &injection{nemesis: i.nemesis, worker: all[victim], rng: i.rng}
	if w, err = kill(ctx, at); err != nil || w.cure == nil { // nothing in its hand: nothing to measure
		return wound{}, cmp.Or(err, errMissed)
	}
	w.proof = 0
	deadline := time.Now().Add(i.profile.takenOver())
	for _, r := range reapers {
		if r.dies(ctx, max(0, time.Until(deadline))) {
			w.proof++
		}
	}
	return w, nil
}

// replace starts a worker in the place of one, whether that lives or not.
func (i *injection) replace(crashPoint string) (err error) {
	select {
	case <-i.worker.Ended():
	default:
		err = i.terminate()
	}
	return errors.Join(err, i.worker.Start(crashPoint))
}
