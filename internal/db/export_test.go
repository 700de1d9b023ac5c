package db

// StaleIDs is the statement of [Stale.IDs].
const StaleIDs = staleIDs
