package queue

import (
	"context"
	"time"
)

// Turn makes a reaper that has been in touch with Redis for long take one turn.
func (r *Reaper) Turn(ctx context.Context) error {
	if r.contact.IsZero() {
		r.contact = time.Now().Add(-time.Hour)
	}
	_, err := r.once(ctx)
	return err
}

// RememberClock makes a reaper believe that it read that from Redis's clock, a lease ago.
func (r *Reaper) RememberClock(clock time.Time) {
	r.clock, r.looked = clock, time.Now().Add(-r.cfg.Lease-time.Millisecond)
}
