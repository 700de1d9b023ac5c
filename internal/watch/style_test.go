package watch

import (
	"strings"
	"testing"
	"time"
)

func TestChart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		values []float64
		height int
		want   string
	}{
		{"nothing yet", nil, 1, "      "},
		{"nothing at all", []float64{0, 0}, 1, "      "},
		{"up to the highest", []float64{0, 1, 4, 8}, 1, "   ▁▄█"},
		{"little is not nothing", []float64{1, 1000}, 1, "    ▁█"},
		{"of two lines", []float64{1, 4, 6, 8}, 2, "    ▄█\n  ▂███"},
	}
	for _, tt := range tests {
		if got := strings.Join(chart(tt.values, 6, tt.height), "\n"); got != tt.want {
			t.Errorf("%s: it is\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	tests := map[time.Duration]string{
		0: "0.0ms", 1234 * time.Microsecond: "1.2ms", 42 * time.Millisecond: "42ms", 1200 * time.Millisecond: "1.2s",
		59900 * time.Millisecond: "59.9s", 192 * time.Second: "3m12s", 25 * time.Hour: "1d01h", -time.Second: "0.0ms",
		59999 * time.Millisecond: "59.9s", 99*time.Hour + 59*time.Minute: "4d03h",
	}
	for d, want := range tests {
		if got := span(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestPerSecond(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]string{0: "0/s", 0.04: "<0.1/s", 0.34: "0.3/s", 99.96: "100/s", 12345.6: "12,346/s"} {
		if got := perSecond(rate); got != want {
			t.Errorf("%v is %s, want %s", rate, got, want)
		}
	}
}
