package main

import (
	"bytes"
	"context"
	"time"

	"fulfillment-worker/internal/proxy"
)

var networkFaults = []*fault{
	{
		name: "lose-claim", about: "the reply to a BLMOVE is lost: Redis has moved a message that nobody knows of", proof: "replies lost",
		lane: onWorker, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: loseReplies(toRedis, "blmove", isMessage, 0),
	},
	{
		name: "tear-claim", about: "the reply to a BLMOVE ends in its middle", proof: "replies torn",
		lane: onWorker, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: loseReplies(toRedis, "blmove", isMessage, 3),
	},
	{
		name: "lose-script", about: "the replies to scripts are lost: acks, beats, claims", proof: "replies lost",
		lane: onWorker, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: loseReplies(toRedis, "evalsha", nil, 0),
	},
	{
		name: "lose-update", about: "PostgreSQL has carried out an UPDATE, its answer is lost", proof: "answers lost",
		lane: onWorker, deafens: true, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: loseReplies(toPostgres, "", isUpdate, 0),
	},
	{
		name: "tear-update", about: "the answer to an UPDATE ends in its middle", proof: "answers torn",
		lane: onWorker, deafens: true, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: loseReplies(toPostgres, "", isUpdate, 10),
	},
	{
		name: "slow", about: "everything between a worker and both servers is late and comes byte by byte", proof: "transfers slowed",
		lane: onWorker, deafens: true, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: slow,
	},
	{
		name: "black-hole", about: "a worker hears nothing of either server for half a lease", proof: "transfers held up",
		lane: onWorker, deafens: true, needs: needProxies, lasts: func(p profile) time.Duration { return p.Lease / 2 }, bound: profile.back, inject: blackHole,
	},
	{
		name: "reset", about: "all connections of a worker break, again and again", proof: "connections broken",
		lane: onWorker, deafens: true, needs: needProxies, lasts: lasts(time.Second), bound: profile.back, inject: reset,
	},
}

func toRedis(w worker) *proxy.Proxy    { return w.Redis().Proxy() }
func toPostgres(w worker) *proxy.Proxy { return w.Postgres().Proxy() }

func isMessage(reply []byte) bool { return reply[0] == '$' }

func isUpdate(answer []byte) bool { return bytes.Contains(answer, []byte("UPDATE 1\x00")) }

// loseReplies loses a few replies, or all of each but its first bytes.
func loseReplies(to func(worker) *proxy.Proxy, request string, wanted func([]byte) bool, first int) func(context.Context, *injection) (wound, error) {
	return func(ctx context.Context, i *injection) (wound, error) {
		n := 1 + i.rng.IntN(5)
		p := to(i.worker)
		p.TearReplies(n, first, request, wanted)
		deadline := time.Now().Add(3 * time.Second)
		for p.Lost() < n && time.Now().Before(deadline) && sleep(ctx, 5*time.Millisecond) {
			continue
		}
		lost := p.Lost()
		held, _ := i.held(ctx, i.history.instance(i.worker.Life()))
		p.LoseReplies(0, "", nil)
		return wound{lost, i.cleared(held, time.Now())}, nil
	}
}

func slow(ctx context.Context, i *injection) (wound, error) {
	proxies := []*proxy.Proxy{toRedis(i.worker), toPostgres(i.worker)}
	before, after := 0, 0
	for _, p := range proxies {
		before += p.Slowed()
		p.Slow(i.between(5*time.Millisecond, 50*time.Millisecond), 1)
	}
	sleep(ctx, time.Second)
	for _, p := range proxies {
		p.Slow(0, 0)
		after += p.Slowed()
	}
	return wound{after - before, i.again(i.worker, time.Now())}, nil
}

func blackHole(ctx context.Context, i *injection) (wound, error) {
	proxies := []*proxy.Proxy{toRedis(i.worker), toPostgres(i.worker)}
	before, after := 0, 0
	for _, p := range proxies {
		before += p.Held()
		p.Deafen()
	}
	sleep(ctx, i.profile.Lease/2)
	for _, p := range proxies {
		p.Hear()
		after += p.Held()
	}
	return wound{after - before, i.again(i.worker, time.Now())}, nil
}

func reset(ctx context.Context, i *injection) (wound, error) {
	broken := 0
	for range 5 {
		broken += toRedis(i.worker).CutAll() + toPostgres(i.worker).CutAll()
		if !sleep(ctx, i.between(50*time.Millisecond, 200*time.Millisecond)) {
			break
		}
	}
	return wound{broken, i.again(i.worker, time.Now())}, nil
}
