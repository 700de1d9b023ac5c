package main

import (
	"context"
	"errors"
	"time"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/metrics"
)

// wholeQueue is what live sees, as the metrics show it.
func wholeQueue(live *inspect.Live) func(context.Context) (metrics.Queue, error) {
	return func(ctx context.Context) (metrics.Queue, error) {
		f := live.Latest(ctx)
		if f.Error != "" || f.At.IsZero() {
			return metrics.Queue{}, errors.New("Redis does not tell: " + f.Error)
		}
		q := metrics.Queue{
			Waiting: f.Waiting, InHand: f.InHand(), Delayed: f.Delayed, Dead: f.Dead, Reconciled: f.Reconciled, Paused: f.Paused != nil,
			OldestAge: (*time.Duration)(f.OldestAge),
			Workers:   map[string]int{string(inspect.Alive): 0, string(inspect.Lapsed): 0, string(inspect.Condemned): 0},
		}
		for _, w := range f.Workers {
			q.Workers[string(w.State)]++
			if left := (*time.Duration)(w.LeaseLeft); w.State == inspect.Alive && (q.LeaseLeft == nil || *left < *q.LeaseLeft) {
				q.LeaseLeft = left
			}
		}
		return q, nil
	}
}
