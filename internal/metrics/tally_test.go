package metrics

import (
	"reflect"
	"testing"
	"time"
)

func TestTally_isReadAsWritten(t *testing.T) {
	t.Parallel()
	written := Tally{Claimed: 5, Fulfilled: 3, Retried: 1, Dead: 1, Waiting: Histogram{1, 2}, Working: Histogram{0, 0, 3}}
	if read := ParseTally(written.String()); !reflect.DeepEqual(read, written) {
		t.Errorf("read %v, want %v", read, written)
	}
	for _, text := range []string{"", "rubbish", `{"claimed":-1}`, `{"claimed":7,"waiting":"x"}`} {
		if read := ParseTally(text); !reflect.DeepEqual(read, Tally{}) {
			t.Errorf("%q is read as %v, want nothing", text, read)
		}
	}
}

func TestTally_Since(t *testing.T) {
	t.Parallel()
	before := Tally{Claimed: 2, Fulfilled: 1, Waiting: Histogram{1, 1}}
	now := Tally{Claimed: 5, Fulfilled: 4, Dead: 1, Waiting: Histogram{1, 3, 1}, Working: Histogram{4}}
	want := Tally{Claimed: 3, Fulfilled: 3, Dead: 1, Waiting: Histogram{0, 2, 1}, Working: Histogram{4}}
	if got := now.Since(before); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := want.Plus(before); !reflect.DeepEqual(got, now) {
		t.Errorf("with what was before it is %v, want %v", got, now)
	}
	if got := before.Since(now); got.Claimed != 0 || got.Waiting[1] != 0 {
		t.Errorf("of a count that began anew, %v were done, want none", got)
	}
}

func TestHistogram_Quantile(t *testing.T) {
	t.Parallel()
	all := make(Histogram, Buckets)
	for _, d := range []time.Duration{0, time.Millisecond, 1500 * time.Microsecond, 2 * time.Millisecond, 100 * time.Millisecond, time.Hour} {
		all[bucket(d)]++
	}
	if want := []uint64{2, 2, 0, 0, 0, 0, 0, 1}; !reflect.DeepEqual([]uint64(all[:8]), want) || all[Buckets-1] != 1 {
		t.Fatalf("counted %v", all)
	}
	for q, want := range map[float64]time.Duration{
		0: 0, 1. / 6: 500 * time.Microsecond, 2. / 3: 2 * time.Millisecond, 5. / 6: 128 * time.Millisecond, 1: Shortest << (Buckets - 2),
	} {
		if got := all.Quantile(q); got.Round(time.Microsecond) != want {
			t.Errorf("the quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := Histogram(nil).Quantile(0.5); got != 0 {
		t.Errorf("of nothing it is %v", got)
	}
}
