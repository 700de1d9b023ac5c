package main

import (
	"context"
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

	before, err := b.used(ctx, w.PID())
	if err != nil {
		return err
	}
	if !sleep(ctx, idleFor) {
		return ctx.Err()
	}
	after, err := b.used(ctx, w.PID())
	if err != nil {
		return err
	}
	took := after.at.Sub(before.at).Seconds()
	i := &idle{
		Seconds:  took,
		Commands: float64(after.commands-before.commands-1) / took, // INFO counts itself once it has answered
		CPU:      (after.system - before.system) / took,
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
