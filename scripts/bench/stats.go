package main

import (
	"fmt"
	"slices"
	"time"
)

// distribution is some durations in figures.
type distribution struct{ min, p50, p90, p99, p999, max time.Duration }

// spread takes nearest ranks: each figure is one of the durations.
func spread(of []time.Duration) distribution {
	if len(of) == 0 {
		return distribution{}
	}
	sorted := slices.Sorted(slices.Values(of))
	rank := func(perMille int) time.Duration { return sorted[max(0, (len(sorted)*perMille+999)/1000-1)] }
	return distribution{sorted[0], rank(500), rank(900), rank(990), rank(999), sorted[len(sorted)-1]}
}

// median is the middle value, or the mean of the two in the middle.
func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
