package main

import (
	"context"
	"time"
)

const (
	idleSettle = 7 * time.Second // until its reaper is at work: more than a lease
	idleInHand = 10              // the worker's default, and so the peers'
)

// idle is what one system costs with nothing to do.
type idle struct {
	System   string             `json:"system"`
	Seconds  float64            `json:"seconds"`
	Commands float64            `json:"commands_per_second"`      // all that Redis ran, also within scripts
	Sent     float64            `json:"commands_sent_per_second"` // by the system
	ByName   map[string]float64 `json:"commands_by_name_per_second"`
	CPU      float64            `json:"cpu_share_of_a_core"`
	RSS      float64            `json:"rss_mb"`
}

// measureIdle takes the commands that Redis ran from INFO's total_commands_processed,
// and those that were sent from MONITOR, which tells them from a script's.
func (b *bench) measureIdle(ctx context.Context) error {
	long, systems := 8*time.Second, []string{"worker"}
	if b.full {
		long, systems = 20*time.Second, []string{"worker", "plain", "rmq", "asynq", "work", "river"}
	}
	say("\nidle: at the default settings, the worker without its HTTP server, for %v; peers with %d in hand", long, idleInHand)
	for _, system := range systems {
		i, err := b.idles(ctx, system, long)
		if err != nil {
			return err
		}
		b.report.Idle = append(b.report.Idle, i)
		i.print()
	}
	return nil
}

func (b *bench) idles(ctx context.Context, system string, long time.Duration) (i idle, err error) {
	if err := b.clear(ctx); err != nil {
		return i, err
	}
	pid, stop, err := b.openIdle(ctx, system)
	if err != nil {
		return i, err
	}
	defer stop()
	if !sleep(ctx, idleSettle) {
		return i, ctx.Err()
	}
	monitor, err := b.monitor()
	if err != nil {
		return i, err
	}
	defer monitor.close()

	before, err := b.used(ctx, pid)
	if err != nil {
		return i, err
	}
	if !sleep(ctx, long) {
		return i, ctx.Err()
	}
	after, err := b.used(ctx, pid)
	if err != nil {
		return i, err
	}
	took := after.at.Sub(before.at).Seconds()
	i = idle{
		System:   system,
		Seconds:  took,
		Commands: float64(after.commands-before.commands-1) / took, // INFO counts itself once it has answered
		CPU:      (after.system - before.system) / took,
		RSS:      memory(pid),
	}
	i.Sent, i.ByName = monitor.between(took)
	return i, nil
}

// openIdle starts a system with nothing to do.
func (b *bench) openIdle(ctx context.Context, system string) (pid int, stop func(), err error) {
	if system == "worker" {
		w, err := b.rig.Start("idle", nil, "QUEUE_NAME=bench_idle")
		if err != nil {
			return 0, nil, err
		}
		return w.PID(), w.Stop, nil
	}
	p, err := b.startPeer(ctx, cell{System: system, Store: "plain", InHand: idleInHand}, b.here(), 0)
	if err != nil {
		return 0, nil, err
	}
	return p.cmd.Process.Pid, p.stop, p.begin(ctx)
}

func (i idle) print() {
	say("  %s: Redis ran %.2f commands a second, those in scripts included (INFO, total_commands_processed)", i.System, i.Commands)
	say("    it was sent %.2f commands a second (MONITOR): %s", i.Sent, frequencies(i.ByName))
	say("    CPU %.2f %% of a core (/proc/<pid>/stat), RSS %.1f MB", i.CPU*100, i.RSS)
}
