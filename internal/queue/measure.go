package queue

import (
	"context"
	"embed"
	"errors"
	"strings"
	"time"

	"fulfillment-worker/internal/metrics"

	"github.com/redis/go-redis/v9"
)

// Measure has what goes over both clients counted in m. Call it before anything else.
func (r Redis) Measure(m *metrics.Metrics) {
	for pool, client := range map[string]redis.UniversalClient{"redis_control": r.control, "redis_blocking": r.blocking} {
		measure(client, meter{m})
		m.Pool(pool, func() metrics.Pool {
			s := client.PoolStats()
			return metrics.Pool{
				Most: poolSize(client), Open: int(s.TotalConns), Idle: int(s.IdleConns), Opened: uint64(s.Misses),
				Waits: uint64(s.WaitCount), Waited: time.Duration(s.WaitDurationNs), Timeouts: uint64(s.Timeouts),
			}
		})
	}
}

// poolSize is how many connections a client may have, in a cluster to each node.
func poolSize(client redis.UniversalClient) int {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().PoolSize
	case *redis.ClusterClient:
		return c.Options().PoolSize
	}
	return 0
}

// measure has the nodes of a cluster measured, each command where it goes.
func measure(client redis.UniversalClient, hook redis.Hook) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(hook) })
		return
	}
	client.AddHook(hook)
}

//go:embed lua
var scripts embed.FS

// scriptNames are the names of the scripts by what names them to Redis: digest, or text.
var scriptNames = func() map[string]string {
	names := map[string]string{}
	files, _ := scripts.ReadDir("lua") // it is there
	for _, file := range files {
		text, _ := scripts.ReadFile("lua/" + file.Name())
		name := strings.TrimSuffix(file.Name(), ".lua")
		names[string(text)], names[Digest(text)] = name, name
	}
	return names
}()

// meter is told by go-redis of each round trip.
type meter struct{ *metrics.Metrics }

func (meter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		begun := time.Now()
		err := next(ctx, cmd)
		m.Redis(command(cmd), time.Since(begun), outcome(err))
		return err
	}
}

func (m meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		begun := time.Now()
		err := next(ctx, cmds)
		m.Redis(commands(cmds), time.Since(begun), outcome(err))
		return err
	}
}

// command is the name of a command, or of the script that it runs.
func command(cmd redis.Cmder) string {
	name := cmd.Name()
	if args := cmd.Args(); len(args) > 1 && strings.HasPrefix(name, "eval") {
		text, _ := args[1].(string)
		if script, ok := scriptNames[text]; ok {
			return script
		}
	}
	return name
}

// commands is the name that all of a pipeline have, or that of the claim which it waits for, or
// of what forgets one message and its mark, or "pipeline".
func commands(cmds []redis.Cmder) string {
	name := command(cmds[0])
	if name == "blmove" || name == "lmove" || name == "lrem" && len(cmds) == 2 {
		return name
	}
	for _, cmd := range cmds[1:] {
		if command(cmd) != name {
			return "pipeline"
		}
	}
	return name
}

func outcome(err error) metrics.Outcome {
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return metrics.Answered
	case isReply(err):
		return metrics.Refused
	}
	return metrics.Unanswered
}
