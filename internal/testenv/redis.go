package testenv

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"fulfillment-worker/internal/servers"
)

// Redis returns the URL of the shared Redis and the name of a queue that no other
// test uses. What stands under that name is deleted when the test ends.
func Redis(tb testing.TB) (url, queue string) {
	tb.Helper()
	r, err := sharedRedis()
	must(tb, err)
	queue = uniqueName()
	tb.Cleanup(func() { deleteQueue(tb, r.URL(), queue) })
	return r.URL(), queue
}

// OwnRedis starts a Redis for this test alone, with further arguments for its
// command line. It is stopped when the test ends.
func OwnRedis(tb testing.TB, args ...string) *servers.Redis {
	tb.Helper()
	r, err := servers.StartRedis(ownDir(tb), args...)
	must(tb, err)
	tb.Cleanup(r.Stop)
	return r
}

// RedisClient returns a client that is connected to that URL, repeats nothing, and
// is closed when the test ends.
func RedisClient(tb testing.TB, url string) *redis.Client {
	tb.Helper()
	c := redis.NewClient(redisOptions(tb, url))
	tb.Cleanup(func() { _ = c.Close() })
	must(tb, c.Ping(tb.Context()).Err())
	return c
}

func redisOptions(tb testing.TB, url string) *redis.Options {
	tb.Helper()
	o, err := redis.ParseURL(url)
	must(tb, err)
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = -1, 1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// deleteQueue knows the form of the keys, not their names: package queue, which
// spells those, is tested with this one.
func deleteQueue(tb testing.TB, url, queue string) {
	ctx, cancel := cleanUpContext(tb)
	defer cancel()
	c := redis.NewClient(redisOptions(tb, url))
	defer c.Close()
	keys := []string{queue}
	found := c.Scan(ctx, 0, "{"+queue+"}:*", 1000).Iterator()
	for found.Next(ctx) {
		keys = append(keys, found.Val())
	}
	if err := found.Err(); err != nil {
		tb.Errorf("delete the queue %s: %v", queue, err)
		return
	}
	if err := c.Unlink(ctx, keys...).Err(); err != nil {
		tb.Errorf("delete the queue %s: %v", queue, err)
	}
}
