package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
)

// outcome is what the database says in the end.
type outcome struct {
	Orders    int
	Fulfilled int
	Once      int      // of them with one step to fulfilled
	TakenOver int      // steps from processing to processing
	Forbidden []string // steps that no order may make
}

// judge shows the dead worker's orders, has queuectl verify the rest, and gives the
// verdict. A bad one is an error.
func (s *story) judge(ctx context.Context) error {
	s.line("")
	s.table()
	s.line("\n$ queuectl verify")
	verified := s.rig.Queuectl(ctx, s.out, "verify")
	o, err := s.outcome(ctx)
	if err != nil {
		return err
	}
	s.line("\naudit of the orders table: %d of %d orders took the step to fulfilled exactly once; %s from one worker to another",
		o.Once, o.Orders, plural(o.TakenOver, "take-over"))
	faults := errors.Join(verified, o.faults(), s.dead.faults())
	verdict := fmt.Sprintf("%s, %d fulfilled, 1 worker killed with %d in hand, %s, lost %d",
		plural(o.Orders, "order"), o.Fulfilled, len(s.dead.held), s.dead.recovery(), o.Orders-o.Fulfilled)
	if faults != nil {
		s.line("%s", s.paint(red, "BAD: %s", verdict))
		return faults
	}
	s.line("%s", s.paint(green, "GOOD: %s", verdict))
	return nil
}

// table has a line for each order of the dead worker.
func (s *story) table() {
	d := s.dead
	t := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintf(t, "ORDER\tHELD BY\tKILLED AT\tREAPED AT\tBY\tTAKEN OVER BY\tAFTER\tFULFILLED AT\n")
	for _, h := range d.held {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.id, d.name, s.clock(d.killed), s.clockOr(d.reaped),
			cmp.Or(d.reaper, "-"), cmp.Or(h.heir, "-"), d.after(h), h.end(s))
	}
	_ = t.Flush()
}

// after is how long after the kill the order was taken over.
func (d *dead) after(h *held) string {
	if h.taken.IsZero() {
		return "-"
	}
	return seconds(h.taken.Sub(d.killed))
}

func (h *held) end(s *story) string {
	if h.dropped {
		return "before its death"
	}
	return s.clockOr(h.fulfilled)
}

// clockOr is a dash for what has not happened.
func (s *story) clockOr(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return s.clock(t)
}

// recovery says how long the dead worker's orders waited for an heir.
func (d *dead) recovery() string {
	var last time.Duration
	for _, h := range d.held {
		if h.taken.IsZero() {
			return "not all of them taken over"
		}
		last = max(last, h.taken.Sub(d.killed))
	}
	return "all taken over after " + seconds(last)
}

func (d *dead) faults() error {
	var errs []error
	for _, h := range d.held {
		if h.taken.IsZero() {
			errs = append(errs, fmt.Errorf("order %d was taken over by nobody", h.id))
		}
	}
	return errors.Join(errs...)
}

func (s *story) outcome(ctx context.Context) (o outcome, err error) {
	err = s.db.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE status = 'fulfilled'),
			count(*) FILTER (WHERE (SELECT count(*) FROM audit WHERE order_id = id AND step LIKE '% → fulfilled') = 1),
			(SELECT count(*) FROM audit WHERE step = 'processing → processing')
		FROM orders`).Scan(&o.Orders, &o.Fulfilled, &o.Once, &o.TakenOver)
	if err != nil {
		return o, err
	}
	rows, err := s.db.Query(ctx, `
		SELECT 'order ' || order_id || ': ' || step FROM audit
		WHERE step NOT IN ('pending', 'pending → processing', 'processing → processing', 'processing → fulfilled')
		ORDER BY seq`)
	if err != nil {
		return o, err
	}
	o.Forbidden, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return o, err
}

func (o outcome) faults() error {
	var errs []error
	if o.Orders != orders {
		errs = append(errs, fmt.Errorf("%d orders were queued, want %d", o.Orders, orders))
	}
	if o.Fulfilled != o.Orders {
		errs = append(errs, fmt.Errorf("%d orders are not fulfilled", o.Orders-o.Fulfilled))
	}
	if o.Once != o.Orders {
		errs = append(errs, fmt.Errorf("%d orders were not fulfilled exactly once", o.Orders-o.Once))
	}
	if len(o.Forbidden) > 0 {
		errs = append(errs, fmt.Errorf("forbidden steps: %s", strings.Join(o.Forbidden, "; ")))
	}
	return errors.Join(errs...)
}
