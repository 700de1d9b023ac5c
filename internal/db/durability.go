package db

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// risks are the settings that, once off, let PostgreSQL lose what it has confirmed. An
// order's message is forgotten on its word.
var risks = map[string]struct{ loss, remedy string }{
	"fsync": {
		"a crash of its machine may cost any order, or the whole database",
		"set fsync = on in postgresql.conf and reload",
	},
	"full_page_writes": {
		"a crash of its machine may leave half-written pages, and with them any order unreadable",
		"set full_page_writes = on in postgresql.conf and reload",
	},
	"synchronous_commit": {
		"a crash may take back the latest steps of orders, whose messages are forgotten by then",
		"ALTER ROLE or ALTER DATABASE ... SET synchronous_commit = on, and restart the worker",
	},
}

// warnOfLoss says, a line each, which of the risks this role's sessions run.
func (o *Orders) warnOfLoss(ctx context.Context) error {
	rows, err := o.pool.Query(ctx, `
		SELECT name FROM pg_settings
		WHERE name = ANY($1) AND setting = 'off'
		ORDER BY name`, slices.Collect(maps.Keys(risks)))
	if err != nil {
		return err
	}
	off, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range off {
		o.log.WarnContext(ctx, "PostgreSQL may lose what it has confirmed",
			"setting", name+" = off", "loss", risks[name].loss, "remedy", risks[name].remedy)
	}
	return nil
}
