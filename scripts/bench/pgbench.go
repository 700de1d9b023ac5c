package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// pgbenchScript is the two steps of an order, with a commit each.
const pgbenchScript = `\set id random(:first, :last)
UPDATE orders SET status = 'processing', updated_at = now() WHERE id = :id;
UPDATE orders SET status = 'fulfilled', updated_at = now() WHERE id = :id;
`

// pgbench is what PostgreSQL alone can do that way, with as many connections as the cell
// has in hand. Its orders are rows that are there, any of them.
func (b *bench) pgbench(ctx context.Context, c cell) (r run, err error) {
	seconds := 2
	if b.full {
		seconds = 10
	}
	r.cell = c
	first, err := b.prepare(ctx, c)
	if err != nil {
		return r, err
	}
	program, err := b.findPgbench(ctx)
	if err != nil {
		return r, err
	}
	script := filepath.Join(b.rig.Dir(), "pgbench.sql")
	if err := os.WriteFile(script, []byte(pgbenchScript), 0o600); err != nil {
		return r, err
	}
	before, err := b.used(ctx)
	if err != nil {
		return r, err
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+patience)
	defer cancel()
	cmd := exec.CommandContext(limited, program, "--no-vacuum", "--protocol", "prepared", "--file", script,
		"--define", fmt.Sprint("first=", first), "--define", fmt.Sprint("last=", first+int64(c.Orders)-1),
		"--client", strconv.Itoa(c.InHand), "--time", strconv.Itoa(seconds), b.rig.DatabaseURL())
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("pgbench: %w\n%s", err, complaint.String())
	}
	after, err := b.used(ctx)
	if err != nil {
		return r, err
	}
	if r.Rate, err = transactionsPerSecond(out); err != nil {
		return r, err
	}
	r.Seconds, r.Orders = float64(seconds), int(r.Rate)*seconds
	r.cost = after.since(before, r.Orders)
	return r, nil
}

// findPgbench looks where the server is from: it may not be in PATH.
func (b *bench) findPgbench(ctx context.Context) (string, error) {
	var dir string
	if err := b.db.QueryRow(ctx, `SELECT setting FROM pg_config WHERE name = 'BINDIR'`).Scan(&dir); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "pgbench")
	_, err := os.Stat(program)
	return program, err
}

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+) `)

func transactionsPerSecond(out []byte) (float64, error) {
	found := tps.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench tells no rate:\n%s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
