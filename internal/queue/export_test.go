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

// Freeze lets the delivery's worker find that it has not renewed its lease for one.
func (d *Delivery) Freeze() { d.session.renewed.Add(-int64(d.session.cfg.Lease)) }

// ClaimSHA and StartSHA name claim.lua and start.lua in a request.
var ClaimSHA, StartSHA = claimScript.Hash(), startScript.Hash()

// LoadStart has Redis know start.lua, so that no request need bring its text.
func LoadStart(ctx context.Context, rdb redis.Scripter) error {
	return startScript.Load(ctx, rdb).Err()
}

// Clients are the two of r.
func (r Redis) Clients() []redis.UniversalClient {
	return []redis.UniversalClient{r.control, r.blocking}
}
