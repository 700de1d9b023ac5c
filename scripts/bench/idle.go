package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/rig"
)

const (
	idleSettle = 7 * time.Second // until its reaper is at work: more than a lease
	idleFor    = 20 * time.Second
)

// idle is what one worker costs at the default settings with nothing to do.
type idle struct {
	Seconds  float64            `json:"seconds"`
	Commands float64            `json:"commands_per_second"`      // all that Redis ran, also within scripts
	Sent     float64            `json:"commands_sent_per_second"` // by the worker
	ByName   map[string]float64 `json:"commands_by_name_per_second"`
	CPU      float64            `json:"cpu_share_of_a_core"`
	RSS      float64            `json:"rss_mb"`
}

// measureIdle takes the commands that Redis ran from INFO's total_commands_processed,
// and those that were sent from MONITOR, which tells them from a script's.
func (b *bench) measureIdle(ctx context.Context) error {
	w, _, err := b.start(ctx, "idle", "bench_idle", make(chan rig.Line, 100))
	if err != nil {
		return err
	}
	defer w.Stop()
	if !sleep(ctx, idleSettle) {
		return ctx.Err()
	}
	monitor, err := b.monitor()
	if err != nil {
		return err
	}
	defer monitor.close()

	before, err := b.consumed(ctx, w)
	if err != nil {
		return err
	}
	if !sleep(ctx, idleFor) {
		return ctx.Err()
	}
	after, err := b.consumed(ctx, w)
	if err != nil {
		return err
	}
	took := after.at.Sub(before.at).Seconds()
	i := &idle{
		Seconds:  took,
		Commands: float64(after.commands-before.commands-1) / took, // INFO counts itself once it has answered
		CPU:      (after.cpu - before.cpu) / took,
		RSS:      memory(w.PID()),
	}
	i.Sent, i.ByName = monitor.between(took)
	b.report.Idle = i
	i.print()
	return nil
}

func (i *idle) print() {
	say("\nidle: one worker at the default settings, but without its HTTP server, for %.0f s", i.Seconds)
	say("  Redis ran %.2f commands a second, those in scripts included (INFO, total_commands_processed)", i.Commands)
	say("  the worker sent %.2f commands a second (MONITOR): %s", i.Sent, frequencies(i.ByName))
	say("  CPU %.2f %% of a core (/proc/<pid>/stat), RSS %.1f MB", i.CPU*100, i.RSS)
}

// consumption is what was used up to that time.
type consumption struct {
	at       time.Time
	commands int     // that Redis has run
	cpu      float64 // seconds that the worker has had a core
}

func (b *bench) consumed(ctx context.Context, w *rig.Worker) (c consumption, err error) {
	c.at = time.Now()
	if c.cpu, err = cpuSeconds(w.PID()); err != nil {
		return c, err
	}
	stats, err := b.info(ctx, "stats")
	if err != nil {
		return c, err
	}
	c.commands, err = strconv.Atoi(stats["total_commands_processed"])
	return c, err
}

// cpuSeconds is the time that a process has had on a core. The kernel counts it to
// user programs in hundredths of a second.
func cpuSeconds(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // a name may hold anything
	if len(fields) < 13 {
		return 0, errors.New("/proc tells no times")
	}
	user, userErr := strconv.ParseFloat(fields[11], 64)
	system, systemErr := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, errors.Join(userErr, systemErr)
}

// memory is the resident memory of a process in MB, of a million bytes each.
func memory(pid int) float64 {
	kb, _ := strconv.ParseFloat(strings.TrimSuffix(procField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"), " kB"), 64)
	return kb * 1024 / 1e6
}
