package main

import (
	"testing"
	"time"
)

// corpse is a worker whose life ended with that exit code.
type corpse struct {
	worker
	code int
}

func (c corpse) ExitCode() int { return c.code }

func (c corpse) Ended() <-chan struct{} {
	ended := make(chan struct{})
	close(ended)
	return ended
}

// Only a crash point kills by a signal: a panic and a failed start prove no fault.
func TestDies(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{-1: true, 0: false, 1: false, 2: false} {
		i := &injection{worker: corpse{code: code}}
		if got := i.dies(t.Context(), time.Minute); got != want {
			t.Errorf("a life that ends with the exit code %d is a death: %v, want %v", code, got, want)
		}
	}
}
