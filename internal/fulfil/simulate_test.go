package fulfil

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fulfillment-worker/internal/order"
)

func TestSimulation_takesTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		min, max time.Duration
		lengths  int // different ones, at least, in 200 runs
	}{
		{"between its limits", 500 * time.Millisecond, 2 * time.Second, 150},
		{"the same each time", time.Second, time.Second, 1},
		{"from nothing on", 0, time.Millisecond, 150},
		{"none", 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lengths := map[time.Duration]bool{}
				for range 200 {
					began := time.Now()
					err := Simulation{Min: tt.min, Max: tt.max}.Do(t.Context(), order.Message{})
					took := time.Since(began)
					if err != nil || took < tt.min || took > tt.max {
						t.Fatalf("Do took %v, %v, want %v to %v", took, err, tt.min, tt.max)
					}
					lengths[took] = true
				}
				if len(lengths) < tt.lengths {
					t.Errorf("200 runs had %d lengths, want at least %d", len(lengths), tt.lengths)
				}
			})
		})
	}
}

func TestSimulation_endsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("shutdown")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		began := time.Now()
		err := Simulation{Min: time.Minute, Max: time.Hour}.Do(ctx, order.Message{})
		if took := time.Since(began); took != time.Second || !errors.Is(err, cause) {
			t.Errorf("Do: %v after %v, want %v after 1s", err, took, cause)
		}
	})
}
