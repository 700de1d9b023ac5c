package db

import "time"

// StaleIDs is the statement of [Stale.IDs].
const StaleIDs = staleIDs

// FreezeAfter sets for how long a look may ask nothing.
func (o *Orders) FreezeAfter(d time.Duration) { o.frozenAfter = d }
