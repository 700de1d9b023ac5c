package main

import (
	"fmt"
	"math"
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

// p99Between are the durations between which the 99th percentile lies as far as so many can
// tell, with a confidence of 95 %: the ranks are off by 1.96 standard deviations of a binomial
// distribution (Conover, Practical Nonparametric Statistics, 3.2). No distribution is assumed.
func p99Between(of []time.Duration) (low, high time.Duration) {
	if len(of) == 0 {
		return 0, 0
	}
	const p = 0.99
	sorted, n := slices.Sorted(slices.Values(of)), float64(len(of))
	off := 1.96 * math.Sqrt(n*p*(1-p))
	rank := func(r float64) time.Duration { return sorted[min(max(0, int(math.Ceil(r))-1), len(sorted)-1)] }
	return rank(n*p - off), rank(n*p + off)
}

// median is the middle value, or the mean of the two in the middle.
func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
