package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// allocations are what one order makes the worker allocate.
type allocations struct {
	InHand int     `json:"in_hand"`
	Orders int     `json:"orders"`
	Count  float64 `json:"per_order"`
	Bytes  float64 `json:"bytes_per_order"`
}

//go:embed mallocs.go.txt
var mallocsSource []byte

// counting is the program in Dir of the rig that counts.
const counting = "counting-worker"

// buildCounting builds a worker that tells its allocations. Nothing of that stands in its
// sources: the compiler is given one file more.
func (b *bench) buildCounting(ctx context.Context) error {
	top, err := topOfModule(ctx)
	if err != nil {
		return err
	}
	source, list := filepath.Join(b.rig.Dir(), "mallocs.go"), filepath.Join(b.rig.Dir(), "overlay.json")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(top, "cmd", "worker", "mallocs.go"): source}})
	if err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(source, mallocsSource, 0o600), os.WriteFile(list, overlay, 0o600))
	if err == nil {
		_, err = goTool(ctx, top, "build", "-overlay", list, "-o", filepath.Join(b.rig.Dir(), counting), "./cmd/worker")
	}
	return err
}

func (b *bench) measureAllocations(ctx context.Context) error {
	if err := b.buildCounting(ctx); err != nil {
		return err
	}
	say("\nallocations: of a worker that is built to count them")
	inHand := []int{256}
	if b.full {
		inHand = []int{1, 10, 64, 256, 1024}
	}
	for _, k := range inHand {
		a, err := b.allocated(ctx, cell{System: "worker", InHand: k, Orders: min(b.limit, orders/4)})
		if err != nil {
			return fmt.Errorf("%d in hand: %w", k, err)
		}
		b.report.Allocations = append(b.report.Allocations, a)
		say("  %d in hand: %.1f allocations and %.0f bytes for each order", a.InHand, a.Count, a.Bytes)
	}
	return nil
}

func (b *bench) allocated(ctx context.Context, c cell) (a allocations, err error) {
	first, err := b.prepare(ctx, c)
	if err != nil {
		return a, err
	}
	if err := b.stage(ctx, c, first); err != nil {
		return a, err
	}
	file := filepath.Join(b.rig.Dir(), "mallocs")
	s, err := b.openWorkers(ctx, c, counting, "BENCH_MALLOCS_FILE="+file)
	if err != nil {
		return a, err
	}
	defer s.stop()
	count, bytes, err := mallocs(ctx, s.pids[0], file)
	if err != nil {
		return a, err
	}
	if err := errors.Join(s.release(ctx), s.drained(ctx)); err != nil {
		return a, err
	}
	countAfter, bytesAfter, err := mallocs(ctx, s.pids[0], file)
	if err != nil {
		return a, err
	}
	n := float64(c.Orders)
	return allocations{c.InHand, c.Orders, (countAfter - count) / n, (bytesAfter - bytes) / n}, b.verify(ctx, c, c.Orders)
}

// mallocs asks a counting worker for what it has allocated so far.
func mallocs(ctx context.Context, pid int, file string) (count, bytes float64, err error) {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, err
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return 0, 0, err
	}
	err = waitUntil(ctx, time.Millisecond, patience, "the worker does not tell its allocations", func(context.Context) (bool, error) {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err == nil {
			_, err = fmt.Sscan(string(text), &count, &bytes)
		}
		return true, err
	})
	return count, bytes, err
}
