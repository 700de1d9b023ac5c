package main

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var redisFaults = []*fault{
	{
		name: "redis-kill", about: "kill -9 of Redis; it starts again with its AOF", proof: "other processes answer",
		lane: onRedis, needs: needServers, lasts: lasts(1500 * time.Millisecond), bound: profile.back, inject: redisKill,
	},
	{
		name: "redis-tail", about: "kill -9 of Redis; the last commands of its AOF are gone when it starts again", proof: "bytes of the AOF cut off",
		lane: onRedis, needs: needServers | needFiles | needReconciler, forgets: true,
		lasts: lasts(1500 * time.Millisecond), bound: profile.reconciled, inject: redisTail,
	},
	{
		name: "redis-flush", about: "FLUSHALL and SCRIPT FLUSH", proof: "messages forgotten",
		lane: onRedis, needs: needReconciler, forgets: true, lasts: lasts(time.Second), bound: profile.reconciled, inject: redisFlush,
	},
	{
		name: "redis-del-queue", about: "DEL of the queue while messages wait in it", proof: "messages forgotten",
		lane: onRedis, needs: needReconciler, forgets: true, lasts: lasts(time.Second), bound: profile.reconciled, inject: redisDelQueue,
	},
	{
		name: "redis-del-registry", about: "DEL of the workers' leases", proof: "leases deleted",
		lane: onRedis, lasts: lasts(time.Second), bound: profile.back, inject: redisDelRegistry,
	},
	{
		name: "redis-freeze", about: "Redis is stopped for three leases: all are over when it goes on", proof: "PINGs without an answer",
		lane: onRedis, needs: needServers, lasts: profile.frozen, bound: profile.back, inject: redisFreeze,
	},
	{
		name: "redis-client-kill", about: "all connections to Redis are broken, again and again", proof: "connections broken",
		lane: onRedis, lasts: lasts(time.Second), bound: profile.back, inject: redisClientKill,
	},
	{
		name: "redis-replica", about: "Redis is a replica for a while: UNBLOCKED and READONLY", proof: "writes refused",
		lane: onRedis, lasts: lasts(time.Second), bound: profile.back, inject: redisReplica,
	},
	{
		name: "redis-pause", about: "CLIENT PAUSE", proof: "commands that waited",
		lane: onRedis, lasts: lasts(time.Second), bound: profile.back, inject: redisPause,
	},
	{
		name: "redis-full", about: "Redis's memory is full: OOM for whoever adds to it", proof: "writes refused",
		lane: onRedis, lasts: lasts(time.Second), bound: profile.back, inject: redisFull,
	},
}

// undo takes a fault back even if the run ends meanwhile.
func undo(ctx context.Context, what string, how func(context.Context) error) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return persist(limited, what, how)
}

// under does something while a command has its effect, and complains if that stays. It is
// taken back whatever became of the command: its answer may be lost, the run may end.
func (i *injection) under(ctx context.Context, what string, begin, end func(context.Context) error, meanwhile func()) {
	defer func() {
		if err := undo(ctx, "take back "+what, end); err != nil {
			i.trouble("%v", err)
		}
	}()
	once, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	if begin(once) == nil {
		meanwhile()
	}
}

// runID is what Redis calls itself between a start and its end.
func (c *clients) runID(ctx context.Context) (string, error) {
	info := ""
	err := undo(ctx, "ask Redis", func(ctx context.Context) (err error) {
		info, err = c.rdb.Info(ctx, "server").Result()
		return err
	})
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id, err
}

func redisKill(ctx context.Context, i *injection) (wound, error) {
	return i.restartRedis(ctx, func() (int, error) { return 1, nil })
}

// restartRedis kills Redis, does something to what it left, and starts it again.
func (i *injection) restartRedis(ctx context.Context, meanwhile func() (int, error)) (wound, error) {
	before, err := i.runID(ctx)
	if err != nil {
		return wound{}, err
	}
	i.env.Redis().Kill()
	proof, err := meanwhile()
	sleep(ctx, i.between(200*time.Millisecond, 800*time.Millisecond))
	if err := errors.Join(err, i.env.Redis().Restart()); err != nil {
		return wound{}, err
	}
	since := time.Now()
	cure := i.everyone(since)
	after, err := i.runID(ctx)
	if after == before {
		proof = 0
	}
	return wound{proof, cure}, err
}

func redisTail(ctx context.Context, i *injection) (wound, error) {
	files, err := i.aof(ctx)
	if err != nil {
		return wound{}, err
	}
	i.producer.burst(ctx, 50)
	w, err := i.restartRedis(ctx, func() (int, error) { return cutFile(files, 1+i.rng.IntN(200), i.rng.IntN(2) == 0) })
	i.history.drop(w.cure)
	i.producer.forgotten()
	w.cure = i.these(i.history.open(), time.Now())
	return w, err
}

// aof is a pattern for the files that Redis appends to.
func (c *clients) aof(ctx context.Context) (pattern string, err error) {
	err = undo(ctx, "ask Redis", func(ctx context.Context) error {
		cfg, err := c.rdb.ConfigGet(ctx, "*dir*").Result()
		pattern = filepath.Join(cfg["dir"], cfg["appenddirname"], "*.incr.aof")
		return err
	})
	return pattern, err
}

// cutFile cuts so many of the last commands off the newest of the files, and says how
// many bytes that were.
func cutFile(pattern string, commands int, torn bool) (int, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("no AOF at %s", pattern)
	}
	name := slices.MaxFunc(files, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) }) // 10 is after 9
	content, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	size := cutTail(content, commands, torn)
	return len(content) - size, os.Truncate(name, int64(size))
}

func redisFlush(ctx context.Context, i *injection) (wound, error) {
	i.producer.burst(ctx, 100)
	before, err := i.messages(ctx)
	if err != nil {
		return wound{}, errMissed
	}
	_, err = i.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.FlushAll(ctx)
		p.ScriptFlush(ctx)
		return nil
	})
	if err != nil {
		return wound{}, errMissed
	}
	i.producer.forgotten()
	return wound{before, i.these(i.history.open(), time.Now())}, nil
}

// messages counts what waits and what is in hand.
func (c *clients) messages(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.rdb.Eval(ctx, `local n = redis.call('LLEN', KEYS[1])
		for _, key in ipairs(redis.call('KEYS', ARGV[1])) do n = n + redis.call('LLEN', key) end
		return n`, []string{queueKey}, processingKey+"*").Int()
}

func redisDelQueue(ctx context.Context, i *injection) (wound, error) {
	i.producer.burst(ctx, 200)
	var gone *redis.StringSliceCmd
	_, err := i.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		gone = p.LRange(ctx, queueKey, 0, -1)
		p.Del(ctx, queueKey)
		return nil
	})
	if err != nil || len(gone.Val()) == 0 {
		return wound{}, errMissed
	}
	i.mu.Lock()
	for _, payload := range gone.Val() { // nobody can know that their marks are of no use any more
		sum := sha1.Sum([]byte(payload))
		i.deleted[hex.EncodeToString(sum[:])] = true
	}
	i.mu.Unlock()
	i.producer.forgotten(gone.Val()...)
	return wound{len(gone.Val()), i.these(i.history.open(), time.Now())}, nil
}

func redisDelRegistry(ctx context.Context, i *injection) (wound, error) {
	n, err := i.rdb.ZCard(ctx, workersKey).Result()
	if err == nil {
		err = i.rdb.Del(ctx, workersKey).Err()
	}
	if err != nil {
		return wound{}, errMissed
	}
	return wound{int(n), i.registered(ctx, cmp.Or(len(i.env.Workers()), int(n)), time.Now())}, nil
}

// registered is the cure of the registry: it names that many workers. No event tells of
// that, so it is asked for here.
func (i *injection) registered(ctx context.Context, workers int, since time.Time) *cure {
	healed := make(chan event, 1)
	for time.Since(since) < i.profile.back() {
		n, err := i.rdb.ZCard(ctx, workersKey).Result()
		if err == nil && int(n) >= workers {
			healed <- event{at: time.Now()}
			break
		}
		if !sleep(ctx, 20*time.Millisecond) {
			break
		}
	}
	return &cure{since, &watch{done: healed}}
}

func redisFreeze(ctx context.Context, i *injection) (wound, error) {
	return i.freezeServer(ctx, i.env.Redis(), func(ctx context.Context) error { return i.rdb.Ping(ctx).Err() })
}

// freezeServer stops a server for so long that all leases are over.
func (i *injection) freezeServer(ctx context.Context, s server, ping func(context.Context) error) (wound, error) {
	if err := s.Pause(); err != nil {
		return wound{}, errMissed
	}
	begin, silent := time.Now(), 0
	for time.Since(begin) < i.profile.frozen() {
		once, cancel := context.WithTimeout(ctx, i.profile.Lease/4)
		if ping(once) != nil {
			silent++
		}
		cancel()
		if !sleep(ctx, i.profile.Lease/4) {
			break
		}
	}
	err := s.Resume()
	return wound{silent, i.everyone(time.Now())}, err
}

func redisClientKill(ctx context.Context, i *injection) (wound, error) {
	killed := 0
	for range 10 {
		killed += i.killClients(ctx)
		if !sleep(ctx, i.between(20*time.Millisecond, 150*time.Millisecond)) {
			break
		}
	}
	return wound{killed, i.everyone(time.Now())}, nil
}

// killClients breaks the connections to Redis, but for our own, and counts them.
func (c *clients) killClients(ctx context.Context) (n int) {
	list, _ := c.rdb.Do(ctx, "CLIENT", "LIST", "TYPE", "normal").Text() // without an answer there is nothing to kill
	for client := range strings.Lines(list) {
		fields := strings.Fields(client)
		if len(fields) == 0 || slices.Contains(fields, "name="+self) {
			continue
		}
		killed, _ := c.rdb.ClientKillByFilter(ctx, "ID", strings.TrimPrefix(fields[0], "id=")).Result()
		n += int(killed)
	}
	return n
}

func redisReplica(ctx context.Context, i *injection) (wound, error) {
	refused := 0
	for range 3 {
		i.under(
			ctx, "REPLICAOF",
			func(ctx context.Context) error { return i.rdb.ReplicaOf(ctx, "127.0.0.1", "1").Err() },
			func(ctx context.Context) error { return i.rdb.ReplicaOf(ctx, "NO", "ONE").Err() },
			func() { refused += i.refusals(ctx, 200*time.Millisecond, "READONLY") },
		)
		if !sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	return wound{refused, i.everyone(time.Now())}, nil
}

// refusals counts the writes of ours that Redis refuses by that error for a while. They
// would change nothing: they take from a list that nobody has.
func (i *injection) refusals(ctx context.Context, during time.Duration, code string) (n int) {
	for end := time.Now().Add(during); time.Now().Before(end) && sleep(ctx, 20*time.Millisecond); {
		err := i.rdb.LMove(ctx, tag+"chaos", tag+"chaos", "LEFT", "LEFT").Err()
		if err != nil && strings.HasPrefix(err.Error(), code) {
			n++
		}
	}
	return n
}

func redisPause(ctx context.Context, i *injection) (wound, error) {
	pause := i.between(300*time.Millisecond, 2*i.profile.Lease)
	waited := 0
	ping := func(ctx context.Context) error { return i.rdb.Ping(ctx).Err() }
	i.under(
		ctx, "CLIENT PAUSE",
		func(ctx context.Context) error {
			return i.rdb.Do(ctx, "CLIENT", "PAUSE", strconv.FormatInt(pause.Milliseconds(), 10), "ALL").Err()
		},
		ping, // it ends by itself, and even CLIENT UNPAUSE waits for that
		func() {
			since := time.Now()
			once, cancel := context.WithTimeout(ctx, pause+time.Second)
			defer cancel()
			if ping(once) == nil && time.Since(since) > pause/2 {
				waited = 1
			}
		},
	)
	return wound{waited, i.everyone(time.Now())}, nil
}

func redisFull(ctx context.Context, i *injection) (wound, error) {
	before, err := i.rdb.ConfigGet(ctx, "maxmemory*").Result()
	if err != nil || before["maxmemory-policy"] != "noeviction" { // any other would forget instead of refuse
		return wound{}, errMissed
	}
	limit := func(bytes string) func(context.Context) error {
		return func(ctx context.Context) error { return i.rdb.ConfigSet(ctx, "maxmemory", bytes).Err() }
	}
	refused := 0
	i.under(ctx, "CONFIG SET maxmemory", limit("1"), limit(before["maxmemory"]), func() {
		refused = i.refusals(ctx, i.between(300*time.Millisecond, 1500*time.Millisecond), "OOM")
	})
	return wound{refused, i.everyone(time.Now())}, nil
}
