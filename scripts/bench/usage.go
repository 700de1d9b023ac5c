package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what has been used up to some moment.
type usage struct {
	at                      time.Time
	system, postgres, redis float64 // seconds of a core
	commands                int64   // that Redis has run, also within scripts
	reads                   int64   // how often Redis has read from a connection: a pipeline is read at once
	transactions            int64   // that PostgreSQL has ended
}

// cost is what one order costs.
type cost struct {
	SystemCPU    float64 `json:"system_cpu_us"`
	PostgresCPU  float64 `json:"postgresql_cpu_us"`
	RedisCPU     float64 `json:"redis_cpu_us"`
	Commands     float64 `json:"redis_commands"`
	Reads        float64 `json:"redis_reads"`
	Transactions float64 `json:"postgresql_transactions"`
}

func (c cost) cpu() float64 { return c.SystemCPU + c.PostgresCPU + c.RedisCPU }

// used looks at the servers and at those processes, which are a system's.
func (b *bench) used(ctx context.Context, pids ...int) (u usage, err error) {
	u.at = time.Now()
	for _, pid := range pids {
		seconds, err := cpuSeconds(pid)
		if err != nil {
			return u, err
		}
		u.system += seconds
	}
	if u.postgres, err = familySeconds(b.postmaster); err != nil {
		return u, err
	}
	if u.redis, err = cpuSeconds(b.redisServer); err != nil {
		return u, err
	}
	if u.transactions, err = b.transactions(ctx); err != nil {
		return u, err
	}
	stats, err := b.info(ctx, "stats")
	if err != nil {
		return u, err
	}
	if u.commands, err = strconv.ParseInt(stats["total_commands_processed"], 10, 64); err != nil {
		return u, err
	}
	u.reads, err = strconv.ParseInt(stats["total_reads_processed"], 10, 64)
	return u, err
}

// since is the difference between two looks, for each of n orders.
func (u usage) since(before usage, n int) cost {
	each := func(seconds float64) float64 { return seconds * 1e6 / float64(n) }
	return cost{
		SystemCPU:    each(u.system - before.system),
		PostgresCPU:  each(u.postgres - before.postgres),
		RedisCPU:     each(u.redis - before.redis),
		Commands:     float64(u.commands-before.commands-1) / float64(n), // INFO counts itself once it has answered
		Reads:        float64(u.reads-before.reads-1) / float64(n),
		Transactions: float64(u.transactions-before.transactions) / float64(n),
	}
}

// transactions is how many PostgreSQL has ended in this database. A connection tells its
// own from time to time, and when it is closed.
func (b *bench) transactions(ctx context.Context) (n int64, err error) {
	err = b.db.QueryRow(ctx, `SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
	return n, err
}

// alone waits until all connections to PostgreSQL are closed but for this program's.
func (b *bench) alone(ctx context.Context) error {
	return waitUntil(ctx, 5*time.Millisecond, patience, "connections are not closed", func(ctx context.Context) (bool, error) {
		var others int
		err := b.db.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> $1`, ownName).Scan(&others)
		return others == 0, err
	})
}

// processTimes are the columns of /proc/<pid>/stat that count here, in hundredths of a second.
type processTimes struct {
	parent    int
	own       float64
	ofTheDead float64 // of children that have ended
}

func timesOf(pid int) (processTimes, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processTimes{}, err
	}
	return parseTimes(text)
}

func parseTimes(stat []byte) (t processTimes, err error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // a name may hold anything
	if len(fields) < 15 {
		return t, errors.New("/proc tells no times")
	}
	var columns [15]float64
	for _, i := range []int{1, 11, 12, 13, 14} {
		var wrong error
		columns[i], wrong = strconv.ParseFloat(fields[i], 64)
		err = errors.Join(err, wrong)
	}
	return processTimes{int(columns[1]), columns[11] + columns[12], columns[13] + columns[14]}, err
}

// cpuSeconds is the time that a process has had on a core. The kernel counts it to
// user programs in hundredths of a second.
func cpuSeconds(pid int) (float64, error) {
	t, err := timesOf(pid)
	return t.own / 100, err
}

// familySeconds is the time that a process and its children have had, also those that
// have ended.
func familySeconds(pid int) (float64, error) {
	t, err := timesOf(pid)
	if err != nil {
		return 0, err
	}
	sum := t.own + t.ofTheDead
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		kid, _ := strconv.Atoi(filepath.Base(dir))
		if t, err := timesOf(kid); err == nil && t.parent == pid { // one that has ended meanwhile is its parent's
			sum += t.own
		}
	}
	return sum / 100, nil
}

// memory is the resident memory of a process in MB, of a million bytes each.
func memory(pid int) float64 {
	kb, _ := strconv.ParseFloat(strings.TrimSuffix(procField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"), " kB"), 64)
	return kb * 1024 / 1e6
}
