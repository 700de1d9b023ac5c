package reconcile

import (
	"context"
	"time"
)

// Once makes r look, if it is time.
func Once(ctx context.Context, r *Reconciler) (time.Duration, error) {
	return r.once(ctx, r.Log.With("actor", "reconciler"))
}
