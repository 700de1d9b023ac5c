package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/rig"
)

// workers are this project's, on one queue.
type workers struct {
	*bench
	cell
	all       []*rig.Worker
	instances []string
	unwatch   func() error
}

// queueName is a cell's queue: what stays behind may stay for another run.
func (c cell) queueName() string { return "bench_" + strconv.Itoa(c.Behind) }

// staged is where messages lie until all begins: a list becomes the queue by one RENAME,
// and whoever waits for the queue begins at once.
func staged(queueName string) string { return queueName + ":staged" }

// open starts a cell's system and has its orders ready for it, from that one on.
func (b *bench) open(ctx context.Context, c cell, first int64) (*running, error) {
	if c.System != "worker" {
		return b.openPeer(ctx, c, first)
	}
	if err := b.stage(ctx, c, first); err != nil {
		return nil, err
	}
	return b.openWorkers(ctx, c, "worker")
}

// openWorkers starts workers of that build in Dir of the rig, and waits until each has
// joined and one of them has looked for lost orders, as they do at their start.
func (b *bench) openWorkers(ctx context.Context, c cell, program string, settings ...string) (*running, error) {
	if err := b.forgetWorkers(ctx, c.queueName()); err != nil {
		return nil, err
	}
	w := &workers{bench: b, cell: c, unwatch: func() error { return nil }}
	s := &running{release: w.release, drained: w.drained, stop: w.stop}
	settings = append(settings, "QUEUE_NAME="+c.queueName(), "WORKER_CONCURRENCY="+strconv.Itoa(c.InHand))
	settings = append(settings, noWork...)
	if c.Log != "" {
		settings = append(settings, "LOG_LEVEL="+c.Log)
	}
	var addr string
	if c.Watched {
		var err error
		if addr, err = freeAddr(); err != nil {
			return nil, err
		}
		settings = append(settings, "HTTP_ADDR="+addr)
	}
	for n := range max(1, c.Workers) {
		worker, err := b.rig.StartBuild(program, fmt.Sprintf("worker-%d", n+1), nil, settings...)
		if err != nil {
			w.stop()
			return nil, err
		}
		w.all = append(w.all, worker)
		s.pids = append(s.pids, worker.PID())
	}
	if err := w.joined(ctx); err != nil {
		w.stop()
		return nil, err
	}
	if c.Watched {
		w.unwatch = watch(ctx, addr)
	}
	return s, nil
}

// forgetWorkers removes what earlier workers have left of themselves.
func (b *bench) forgetWorkers(ctx context.Context, queueName string) error {
	keys := b.rdb.Scan(ctx, 0, queue.NewKeys(queueName).Pattern(), 1000).Iterator()
	for keys.Next(ctx) {
		if err := b.rdb.Del(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	return keys.Err()
}

// joined asks Redis rather than the log: what is logged is part of what is measured.
func (w *workers) joined(ctx context.Context) error {
	keys := queue.NewKeys(w.queueName())
	err := waitUntil(ctx, 10*time.Millisecond, patience, "the workers have not joined, or not looked for lost orders", func(ctx context.Context) (bool, error) {
		n, err := w.rdb.ZCard(ctx, keys.Workers()).Result()
		if err != nil || int(n) < len(w.all) {
			return false, err
		}
		looked, err := w.rdb.Exists(ctx, keys.Looked()).Result()
		return looked > 0, err
	})
	if err != nil {
		return err
	}
	w.instances, err = w.rdb.ZRange(ctx, keys.Workers(), 0, -1).Result()
	return err
}

func (w *workers) release(ctx context.Context) error {
	return w.rdb.Rename(ctx, staged(w.queueName()), w.queueName()).Err()
}

// drained asks Redis: to count rows would take PostgreSQL's time. It asks seldom, for a peer
// tells by itself. What stays behind is taken out of the workers' sight by another RENAME,
// which must not come late.
func (w *workers) drained(ctx context.Context) error {
	kept, pause := w.Behind == 0, 50*time.Millisecond
	if !kept {
		pause = 5 * time.Millisecond
	}
	err := waitUntil(ctx, pause, cellPatience, "the queue is not drained", func(ctx context.Context) (bool, error) {
		if err := w.alive(); err != nil {
			return false, err
		}
		waiting, err := w.length(ctx, w.queueName())
		if err == nil && !kept && waiting <= w.Behind {
			kept = true
			err = w.rdb.Rename(ctx, w.queueName(), staged(w.queueName())).Err()
			waiting = 0
		}
		if err != nil || waiting > 0 {
			return false, err
		}
		held, err := w.rdb.Exists(ctx, w.lists()...).Result()
		return held == 0, err
	})
	if err != nil {
		return err
	}
	return w.unwatch()
}

func (w *workers) alive() error {
	for _, worker := range w.all {
		select {
		case <-worker.Ended():
			return fmt.Errorf("%s has ended", worker.Name)
		default:
		}
	}
	return nil
}

// lists are what the workers have in hand.
func (w *workers) lists() (keys []string) {
	for _, instance := range w.instances {
		keys = append(keys, queue.NewKeys(w.queueName()).Lanes(instance, w.InHand)...)
	}
	return keys
}

// stop kills all, which takes no time: they hold nothing.
func (w *workers) stop() {
	_ = w.unwatch()
	for _, worker := range w.all {
		worker.Kill()
	}
}

// leftovers are the keys of Redis that are empty after a run, but for what stays behind.
func leftovers(c cell) []string {
	if c.System != "worker" {
		return []string{plainQueue, staged(plainQueue), plainQueue + ":processing"}
	}
	keys := queue.NewKeys(c.queueName())
	return []string{keys.Queue(), staged(c.queueName()), keys.Delayed(), keys.Dead()}
}

// length is how many elements a list, zset or stream has.
func (b *bench) length(ctx context.Context, key string) (int, error) {
	kind, err := b.rdb.Type(ctx, key).Result()
	if err != nil {
		return 0, err
	}
	var n int64
	switch kind {
	case "list":
		n, err = b.rdb.LLen(ctx, key).Result()
	case "zset":
		n, err = b.rdb.ZCard(ctx, key).Result()
	case "stream":
		n, err = b.rdb.XLen(ctx, key).Result()
	}
	return int(n), err
}

// stage puts a cell's messages where release finds them.
func (b *bench) stage(ctx context.Context, c cell, first int64) error {
	const atOnce = 1000
	padding := padding(c.Payload)
	for n := 0; n < c.Orders; n += atOnce {
		var payloads []any
		for i := n; i < min(n+atOnce, c.Orders); i++ {
			payloads = append(payloads, strings.Replace(message(first+int64(i)), "{", "{"+padding, 1))
		}
		if err := b.rdb.LPush(ctx, staged(c.queueName()), payloads...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// padding is a field that makes a message as long as that, or longer by itself.
func padding(bytes int) string {
	frame := len(`"note": "", `) + len(message(1_000_000))
	if bytes <= frame {
		return ""
	}
	return `"note": "` + strings.Repeat("x", bytes-frame) + `", `
}
