package queue

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Turn makes a reaper that has been in touch with Redis for long take one turn.
func (r *Reaper) Turn(ctx context.Context) error {
	if r.contact.IsZero() {
		_ = lookScript.Run(ctx, r.rdb.control, []string{r.keys.Workers()}).Err() // so that the turn need not connect
		r.contact = time.Now().Add(-time.Hour)
	}
	_, err := r.once(ctx)
	return err
}

// RememberClock makes a reaper believe that it read that from Redis's clock, a lease ago.
func (r *Reaper) RememberClock(clock time.Time) {
	r.clock, r.looked = clock, time.Now().Add(-r.cfg.Lease-time.Millisecond)
}

// ClaimSHA names claim.lua in a request.
var ClaimSHA = claimScript.Hash()

// Clients are the two of r.
func (r Redis) Clients() []redis.UniversalClient {
	return []redis.UniversalClient{r.control, r.blocking}
}
