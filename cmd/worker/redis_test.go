package main_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulfillment-worker/internal/testenv"

	"github.com/redis/go-redis/v9"
)

const (
	flips   = 2 * time.Second // how soon readiness follows the truth
	resumes = 5 * time.Second // how soon after an outage all that waited is fulfilled
	slack   = 2 * time.Second // what a busy machine adds to either
)

// sick is a site whose Redis is its own and not well.
type sick struct {
	*site
	redis  server
	proxy  *testenv.Proxy // between the worker and Redis, for faults of the network
	worker *worker
	health health // of the worker

	undo  func()       // ends the fault, once
	turns atomic.Int64 // of every
}

// server is a Redis of the test's own.
type server interface {
	Addr() string
	Kill()
	Restart() error
	Pause() error
	Resume() error
}

// redisFault is one way for Redis to be unwell.
type redisFault struct {
	name  string
	args  []string              // of Redis's command line
	begin func(*sick)           // brings it about; it lasts until undo is called
	shows func(*sick) bool      // whether it is there, as somebody else sees it
	ready func(status int) bool // what /readyz may say meanwhile
	after func(*sick) bool      // what the worker must have met; nil for nothing more
}

func green(status int) bool { return status == http.StatusOK }
func red(status int) bool   { return status == http.StatusServiceUnavailable }
func either(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusOK
}

// Whatever ails Redis: the worker says so, stays calm, and goes on by itself. Nothing is
// charged, taken over or left over.
func TestWorker_outlivesWhatAilsRedis(t *testing.T) {
	for _, f := range redisFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSick(t, f.args)
			s.awaitReady(green)
			ids := s.order(40)
			testenv.Eventually(t, 10*time.Second, "work is going on", func() bool { return s.unfulfilled() < len(ids) })

			linesBefore := len(s.worker.log(""))
			f.begin(s)
			testenv.Eventually(t, flips+slack, "the fault", func() bool { return f.shows(s) })
			s.awaitReady(f.ready)
			late := s.insert(5)
			s.stays(f, 2*lease)
			lines := len(s.worker.log("")) - linesBefore
			s.undo()
			healed := time.Now()
			s.awaitReady(green)
			flipped := time.Since(healed)
			for _, id := range late {
				s.push(payload(id))
			}
			s.awaitFulfilled(resumes + slack)
			t.Logf("%d lines during the outage; ready %v and all fulfilled %v after it",
				lines, flipped.Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))

			if most := 100; lines > most {
				t.Errorf("%d log lines during the outage, want at most %d", lines, most)
			}
			if f.after != nil && !f.after(s) {
				t.Error("the worker has not met the fault")
			}
			s.worker.robbedNobody()
			if n := testenv.CountTakeovers(t, s.databaseURL); n != 0 {
				t.Errorf("%d take-overs, want none", n)
			}
			s.nothingCharged()
			s.settled(s.worker)
		})
	}
}

// Redis dies under load again and again, and comes back with what is in its file.
func TestWorker_waitsForRedis(t *testing.T) {
	t.Parallel()
	redis := testenv.OwnRedis(t, "--appendfsync", "always")
	s := siteAt(t, redis.URL(), "q", testenv.Database(t))
	w := s.start()
	w.awaitStart()
	for round := range 10 {
		ids := s.order(20)
		testenv.Eventually(t, 10*time.Second, "work is going on", func() bool { return s.unfulfilled() < len(ids) })
		redis.Kill()
		if round%3 == 0 {
			<-time.After(2 * lease) // how long the outage lasts
		}
		must(t, redis.Restart())
		s.awaitFulfilled(resumes + slack)
	}
	w.robbedNobody()
	s.nothingCharged()
	s.settled(w)
}

// When Redis is back every lease is over, and all workers live: nobody takes anything from
// anybody.
func TestWorker_robsNobodyAfterAnOutage(t *testing.T) {
	tests := []struct {
		name  string
		begin func(server) error
		end   func(server) error
	}{
		{"frozen", server.Pause, server.Resume},
		{"killed", func(r server) error { r.Kill(); return nil }, server.Restart},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := testenv.OwnRedis(t, "--appendfsync", "always")
			s := siteAt(t, redis.URL(), "q", testenv.Database(t))
			s.env = append(s.env, "PROCESSING_MIN=2s", "PROCESSING_MAX=6s")
			workers := []*worker{s.start("WORKER_ID=a"), s.start("WORKER_ID=b"), s.start("WORKER_ID=c")}
			for _, w := range workers {
				w.awaitStart()
			}
			s.leftBehind("dead-1")
			s.awaitFulfilled(20 * time.Second) // the grace at the start is over
			reaped := s.logged(workers, "reaped")
			s.order(12)
			testenv.Eventually(t, 10*time.Second, "every order is in hand", func() bool { return s.logged(workers, "Processing order") == 13 })
			must(t, tt.begin(redis))
			<-time.After(3 * lease) // how long it is away
			must(t, tt.end(redis))
			s.awaitFulfilled(6*time.Second + resumes + slack)
			if n := s.logged(workers, "reaped") - reaped; n != 0 {
				t.Errorf("%d of the living were reaped, want none", n)
			}
			if n := testenv.CountTakeovers(t, s.databaseURL); n != 0 {
				t.Errorf("%d take-overs, want none", n)
			}
			s.nothingCharged()
			s.settled(workers...)
		})
	}
}

// robbedNobody fails the test if the worker has lost its lease, or reaped anybody.
func (w *worker) robbedNobody() {
	w.t.Helper()
	for _, robbed := range []string{"lease lost", "reaped"} {
		if n := len(w.log(robbed)); n != 0 {
			w.t.Errorf("%q %d times, want none", robbed, n)
		}
	}
}

// logged counts the lines of the workers that begin so.
func (s *site) logged(workers []*worker, prefix string) (n int) {
	for _, w := range workers {
		n += len(w.log(prefix))
	}
	return n
}

// A Redis that is full refuses producers, and plain claims too. A worker that comes then
// empties it all the same, and nobody has to help.
func TestWorker_emptiesAFullRedis(t *testing.T) {
	t.Parallel()
	redis := testenv.OwnRedis(t)
	s := siteAt(t, redis.URL(), "q", testenv.Database(t))
	blanks := strings.Repeat(" ", 8<<10)
	var backlog []string
	for _, id := range s.insert(1500) {
		backlog = append(backlog, payload(id)+blanks)
	}
	s.pushAll(backlog)
	s.do("config", "set", "maxmemory", s.memoryUsed()-1<<20)
	if err := s.rdb.LPush(t.Context(), s.keys.Queue(), "one more").Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("it is not full: %v", err)
	}
	w := s.start("PROCESSING_MIN=0", "PROCESSING_MAX=0", "WORKER_CONCURRENCY=16")
	s.awaitFulfilled(30 * time.Second)
	s.order(1) // it takes new ones again
	s.awaitFulfilled(resumes + slack)
	s.nothingCharged()
	s.settled(w)
}

// memoryUsed is what counts against maxmemory.
func (s *site) memoryUsed() int {
	s.Helper()
	used, err := strconv.Atoi(s.rdb.InfoMap(s.Context(), "memory").Item("Memory", "used_memory"))
	must(s, err)
	return used
}

// What a Redis is set up for that may lose the queue is said at the start and to whoever
// asks whether the worker is ready, with what to do.
func TestWorker_saysWhatIsUnwiseInRedis(t *testing.T) {
	tests := []struct {
		name  string
		args  []string
		line  string
		text  string
		ready func(int) bool
	}{
		{"it evicts", []string{"--maxmemory-policy", "allkeys-lru"}, "Redis is not fit", "set maxmemory-policy noeviction", red},
		{"it keeps nothing on disk", []string{"--appendonly", "no"}, "Redis may lose what it has confirmed", "set appendonly yes", green},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSick(t, tt.args)
			lines := s.worker.log("Redis ")
			if len(lines) != 1 || lines[0].Level != "warn" || !strings.HasPrefix(lines[0].Message, tt.line) || !strings.Contains(lines[0].Error, tt.text) {
				t.Errorf("it says %+v, want one warning %q with %q", lines, tt.line, tt.text)
			}
			s.awaitReady(tt.ready)
			if _, text := s.health.ask("/readyz"); !strings.Contains(text, tt.text) {
				t.Errorf("/readyz says %q, want it to say %q", text, tt.text)
			}
		})
	}
}

// newSick starts a worker with an identity of its own on a Redis of its own.
func newSick(t *testing.T, args []string) *sick {
	t.Helper()
	r := testenv.OwnRedis(t, append([]string{"--appendfsync", "always", "--user", "worker", "on", "~*", "+@all", ">secret"}, args...)...)
	s := &sick{site: siteAt(t, r.URL(), "q", testenv.Database(t)), redis: r, proxy: testenv.NewProxy(t, r.Addr()), undo: func() {}}
	t.Cleanup(func() { s.undo() })
	s.health = newHealth(t)
	s.worker = s.start("REDIS_URL=redis://worker:secret@"+s.proxy.Addr(), s.health.setting())
	s.worker.awaitStart()
	return s
}

// stays checks for so long that the fault lasts, and that the worker lives and rests.
func (s *sick) stays(f redisFault, long time.Duration) {
	s.Helper()
	before, begin := s.worker.cpu(), time.Now()
	<-time.After(long) // how long the outage lasts
	share := float64(s.worker.cpu()-before) / float64(time.Since(begin))
	s.Logf("%.1f %% of a core during the outage", 100*share)
	if share > 0.2 {
		s.Errorf("it used %.0f %% of a core during the outage, want less than 20 %%", 100*share)
	}
	if !f.shows(s) {
		s.Error("the fault has gone by itself")
	}
	if status, text := s.health.ask("/readyz"); !f.ready(status) {
		s.Errorf("/readyz answers %d %s during the outage", status, text)
	}
	if status, text := s.health.ask("/healthz"); status != http.StatusOK {
		s.Errorf("/healthz answers %d %s, want 200: a restart would not help", status, text)
	}
}

func (s *sick) awaitReady(wanted func(status int) bool) {
	s.Helper()
	testenv.Eventually(s.T, flips+slack, "/readyz telling the truth", func() bool {
		status, _ := s.health.ask("/readyz")
		return wanted(status)
	})
}

// met reports whether some line of the worker's log has that text in its error.
func met(text string) func(*sick) bool {
	return func(s *sick) bool { return s.worker.complained(text) }
}

// complained reports whether the worker has said that something does not work.
func complained(s *sick) bool { return len(s.worker.log("cannot ")) > 0 }

// says reports whether Redis answers that command of the worker's with that text.
func says(text string, command ...any) func(*sick) bool {
	return saysWithin(time.Second, text, command...)
}

func saysWithin(patience time.Duration, text string, command ...any) func(*sick) bool {
	return func(s *sick) bool {
		c := redis.NewClient(&redis.Options{
			Addr: s.redis.Addr(), Username: "worker", Password: "secret", MaxRetries: -1, DialerRetries: 1,
			ContextTimeoutEnabled: true, DisableIdentity: true,
		})
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), patience)
		defer cancel()
		err := c.Do(ctx, command...).Err()
		return err != nil && strings.Contains(err.Error(), text)
	}
}

var write = []any{"set", "probe", "1"}

// every runs f again and again, beside the test, until undo is called.
func (s *sick) every(pause time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(pause); ctx.Err() == nil; {
			f(ctx)
			s.turns.Add(1)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	s.ends(func() {
		cancel()
		<-done
	})
}

// ends takes note of how the fault ends.
func (s *sick) ends(undo func()) { s.undo = sync.OnceFunc(undo) }

// undone is what ends a fault by one command.
func (s *sick) undone(command ...any) {
	s.ends(func() { s.do(command...) })
}

func (s *site) do(command ...any) {
	s.Helper()
	must(s, s.rdb.Do(context.WithoutCancel(s.Context()), command...).Err())
}

var redisFaults = []redisFault{
	{
		name:  "killed",
		begin: func(s *sick) { s.redis.Kill(); s.ends(func() { must(s, s.redis.Restart()) }) },
		shows: says("refused", write...),
		ready: red,
		after: met("EOF"),
	},
	{
		name:  "frozen",
		begin: func(s *sick) { must(s, s.redis.Pause()); s.ends(func() { must(s, s.redis.Resume()) }) },
		shows: says("timeout", write...),
		ready: red,
		after: complained,
	},
	{
		name:  "behind a black hole",
		begin: func(s *sick) { s.proxy.Deafen(); s.ends(s.proxy.Hear) },
		shows: func(s *sick) bool { return s.rdb.Ping(s.Context()).Err() == nil }, // to others it is well
		ready: red,
		after: complained,
	},
	{
		name: "a replica",
		begin: func(s *sick) {
			s.do("replicaof", "127.0.0.1", "1")
			s.undone("replicaof", "no", "one")
		},
		shows: says("READONLY", write...),
		ready: red,
		after: met("READONLY"),
	},
	{
		name: "unable to write its snapshot",
		args: []string{"--save", "3600 1"},
		begin: func(s *sick) {
			dir := s.rdb.ConfigGet(s.Context(), "dir").Val()["dir"]
			inTheWay := filepath.Join(dir, "dump.rdb")
			must(s, os.Mkdir(inTheWay, 0o700))
			s.do("bgsave")
			s.ends(func() {
				must(s, os.Remove(inTheWay))
				s.do("bgsave")
				testenv.Eventually(s.T, 10*time.Second, "a snapshot written", func() bool { return !says("MISCONF", write...)(s) })
			})
		},
		shows: says("MISCONF", write...),
		ready: red,
		after: met("MISCONF"),
	},
	{
		name: "refusing the claim",
		begin: func(s *sick) {
			s.do("acl", "setuser", "worker", "-blmove")
			s.undone("acl", "setuser", "worker", "+blmove")
		},
		shows: says("NOPERM", "blmove", "a", "b", "RIGHT", "LEFT", "1"),
		ready: red,
		after: met("NOPERM"),
	},
	{
		name: "refusing scripts",
		begin: func(s *sick) {
			s.do("acl", "setuser", "worker", "-evalsha")
			s.undone("acl", "setuser", "worker", "+evalsha")
		},
		shows: says("NOPERM", "evalsha", "abc", "0"),
		ready: red,
		after: met("NOPERM"),
	},
	{
		name: "out of connections",
		begin: func(s *sick) {
			s.do("config", "set", "maxclients", 1) // the test's own, which is there already
			s.do("client", "kill", "user", "worker")
			s.undone("config", "set", "maxclients", 10000)
		},
		shows: func(s *sick) bool { return strings.Contains(greeting(s.redis.Addr()), "max number of clients") },
		ready: red,
		after: complained,
	},
	{
		name:  "busy with a script",
		args:  []string{"--busy-reply-threshold", "100"},
		begin: busyScript,
		shows: says("BUSY", write...),
		ready: red,
		after: met("BUSY"),
	},
	{
		name: "holding every client back",
		begin: func(s *sick) {
			const long = 7 * time.Second // it holds those back, too, who would end it
			s.do("client", "pause", long.Milliseconds(), "all")
			over := time.After(long)
			s.ends(func() { <-over })
		},
		shows: says("timeout", write...),
		ready: red,
		after: complained,
	},
	{
		name: "holding writers back",
		begin: func(s *sick) {
			s.do("client", "pause", 60000, "write")
			s.undone("client", "unpause")
		},
		shows: says("timeout", write...),
		ready: red,
		after: complained,
	},
	{
		name:  "loading its data",
		args:  []string{"--key-load-delay", "100"},
		begin: loading,
		shows: saysWithin(3*time.Second, "LOADING", write...), // it looks up from its file now and then
		ready: red,
		after: met("LOADING"),
	},
	{
		name: "killing connections and forgetting scripts",
		begin: func(s *sick) {
			s.every(50*time.Millisecond, func(ctx context.Context) {
				_ = s.rdb.Do(ctx, "client", "kill", "user", "worker").Err()
				_ = s.rdb.ScriptFlush(ctx).Err()
			})
		},
		shows: func(s *sick) bool { return s.turns.Load() >= 20 },
		ready: either,
		after: met("EOF"),
	},
	{
		name: "a master, a replica, a master",
		begin: func(s *sick) {
			s.awaitFulfilled(10 * time.Second) // so that the worker waits in a BLMOVE
			s.every(60*time.Millisecond, func(ctx context.Context) {
				_ = s.rdb.Do(ctx, "replicaof", "127.0.0.1", "1").Err()
				select {
				case <-ctx.Done():
				case <-time.After(60 * time.Millisecond): // how long it is a replica
				}
				_ = s.rdb.Do(context.WithoutCancel(ctx), "replicaof", "no", "one").Err()
			})
		},
		shows: func(s *sick) bool { return s.turns.Load() >= 20 },
		ready: either,
		after: met("UNBLOCKED"),
	},
}

// greeting is what Redis says to whom it does not let in.
func greeting(addr string) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	said, _ := io.ReadAll(conn)
	return string(said)
}

func busyScript(s *sick) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c := redis.NewClient(&redis.Options{Addr: s.redis.Addr(), ReadTimeout: time.Minute, MaxRetries: -1})
		defer c.Close()
		_ = c.Do(context.WithoutCancel(s.Context()), "eval", "while true do end", 0).Err()
	}()
	s.ends(func() {
		_ = s.rdb.ScriptKill(context.WithoutCancel(s.Context())).Err()
		<-ended
	})
}

// loading restarts Redis with so much in its file that it takes seconds to come back.
func loading(s *sick) {
	_, err := s.rdb.Pipelined(s.Context(), func(p redis.Pipeliner) error {
		for i := range 45 * 1024 {
			p.Set(s.Context(), "ballast", i, 0)
		}
		return nil
	})
	must(s, err)
	s.do("del", "ballast")
	s.redis.Kill()
	back := make(chan error, 1)
	go func() { back <- s.redis.Restart() }()
	s.ends(func() { must(s, <-back) })
}
