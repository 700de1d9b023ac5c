// Package inspect looks at a queue in Redis and its orders in PostgreSQL, for
// operators and dashboards.
//
// # What callers may rely on
//
//   - What one call says about Redis was true at one instant, by Redis's clock; but
//     [Inspector.Letters] and [Inspector.Trace] go through what may be long page by page.
//   - [Inspector.Verify] reports only what it saw twice: messages that are on the
//     move while it looks are no fault.
//
// # What this package never does
//
//   - It never writes, neither to Redis nor to PostgreSQL.
//   - It never loads the orders that are fulfilled and have no message.
package inspect

import (
	"sync/atomic"
	"time"

	"fulfillment-worker/internal/queue"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// Inspector looks at one queue. It is safe for concurrent use.
type Inspector struct {
	rdb    redis.UniversalClient
	db     *pgxpool.Pool
	keys   queue.Keys
	lease  time.Duration
	reader *queue.Reader

	mostSearched int64 // messages of the queue, see Trace

	known atomic.Value // []registration, as of the last overview
}

// New returns an Inspector of the queue with that name. The lease is what the
// workers' LEASE_TTL is believed to be, for those that have left no trace of theirs.
// Without a db it answers what asks Redis alone.
func New(rdb redis.UniversalClient, db *pgxpool.Pool, queueName string, lease time.Duration) *Inspector {
	return &Inspector{
		rdb: rdb, db: db, keys: queue.NewKeys(queueName), lease: lease, reader: queue.NewReader(rdb, queueName),
		mostSearched: mostSearched,
	}
}
