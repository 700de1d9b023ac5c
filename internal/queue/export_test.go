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
