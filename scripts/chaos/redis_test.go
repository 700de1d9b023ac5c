package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/testenv"
)

// A Redis may be somebody else's: what a fault changes is set back to what it was, also
// when the run ends meanwhile.
func TestRedisFaults_setBack(t *testing.T) {
	t.Parallel()
	rdb := testenv.RedisClient(t, testenv.OwnRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction").URL())
	n := &nemesis{clients: &clients{rdb: rdb}, env: given{}, history: newHistory(time.Minute), profile: torture, tell: t.Logf}
	for name, inject := range map[string]func(context.Context, *injection) (wound, error){"full": redisFull, "replica": redisReplica, "pause": redisPause} {
		ended, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		w, err := inject(ended, &injection{nemesis: n, rng: rand.New(rand.NewPCG(1, 1))})
		cancel()
		if err != nil || n.troubles.Count > 0 || w.proof == 0 && name != "pause" {
			t.Errorf("%s: %d proofs, %v, %v", name, w.proof, err, n.troubles)
		}
		once, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond) // a pause takes longer
		limit, err := rdb.ConfigGet(once, "maxmemory").Result()
		cancel()
		if err != nil || limit["maxmemory"] != "104857600" {
			t.Errorf("after %s maxmemory is %v, %v", name, limit, err)
		}
		if info := rdb.Info(t.Context(), "replication").Val(); !strings.Contains(info, "role:master") {
			t.Errorf("after %s Redis is still a replica", name)
		}
	}
}

func TestRegistered(t *testing.T) {
	t.Parallel()
	rdb := testenv.RedisClient(t, testenv.OwnRedis(t).URL())
	i := &injection{nemesis: &nemesis{clients: &clients{rdb: rdb}, profile: torture}}
	healed := func(workers int) bool {
		ended, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		c := i.registered(ended, workers, time.Now())
		_, ok := c.wait(ended)
		return ok
	}
	if err := rdb.ZAdd(t.Context(), workersKey, redis.Z{Member: "a"}).Err(); err != nil {
		t.Fatal(err)
	}
	if !healed(1) {
		t.Error("one worker of one is back, and it has not healed")
	}
	if healed(2) {
		t.Error("one worker of two is back, and it has healed")
	}
}

func TestKillClients_sparesOurOwn(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t)
	theirs := testenv.RedisClient(t, server.URL()).Conn()
	ours := testenv.RedisClient(t, server.URL()).Conn()
	t.Cleanup(func() { _, _ = theirs.Close(), ours.Close() })
	id := ours.ClientID(t.Context()).Val()
	if err := errors.Join(theirs.Ping(t.Context()).Err(), ours.ClientSetName(t.Context(), self).Err()); err != nil {
		t.Fatal(err)
	}
	c, err := dialRedis(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	n := (&clients{rdb: c}).killClients(t.Context())
	if n == 0 || theirs.Ping(t.Context()).Err() == nil {
		t.Errorf("%d connections are broken, and a foreign one is not among them", n)
	}
	if now, err := ours.ClientID(t.Context()).Result(); err != nil || now != id {
		t.Errorf("a connection of our own is broken: %d, then %d, %v", id, now, err)
	}
}

// Under any other policy it would evict what it holds, and refuse nothing.
func TestRedisFull_evictsNothing(t *testing.T) {
	t.Parallel()
	rdb := testenv.RedisClient(t, testenv.OwnRedis(t, "--maxmemory-policy", "allkeys-lru").URL())
	if err := rdb.Set(t.Context(), "theirs", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	n := &nemesis{clients: &clients{rdb: rdb}, env: given{}, history: newHistory(time.Minute), profile: torture, tell: t.Logf}
	_, err := redisFull(t.Context(), &injection{nemesis: n, rng: rand.New(rand.NewPCG(1, 1))})
	if found := rdb.Exists(t.Context(), "theirs").Val(); err == nil || found != 1 {
		t.Errorf("%v, and %d of 1 key is left", err, found)
	}
}
