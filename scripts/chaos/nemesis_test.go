package main

import (
	"context"
	"testing"
	"time"
)

// A fault that proved nothing may have hit somebody all the same.
func TestNemesis_deaf(t *testing.T) {
	t.Parallel()
	n := &nemesis{env: given{}, history: newHistory(time.Minute), tell: t.Logf}
	missed := func(context.Context, *injection) (wound, error) { return wound{}, errMissed }
	inject := func(f *fault, lane string) { n.inject(t.Context(), assignment{fault: f, lane: lane}, 0, true) }
	begin := time.Now()
	inject(&fault{name: "kill", lane: onWorker, inject: missed}, "worker-1")
	if n.deaf("worker-1.1", begin, time.Now()) {
		t.Error("a fault that lets every answer of PostgreSQL's through deafens")
	}
	inject(&fault{name: "pg-lock", lane: onPostgres, deafens: true, inject: missed}, "postgres")
	end := time.Now()
	if !n.deaf("worker-1.1", begin, end) {
		t.Error("a fault is forgotten because it proved nothing")
	}
	if n.deaf("worker-1.1", begin.Add(-time.Minute), begin) || n.deaf("worker-1.1", end.Add(2*aftermath), end.Add(3*aftermath)) {
		t.Error("a fault deafens long before or after it")
	}
	if len(n.injuries) != 0 {
		t.Errorf("what proved nothing is counted: %+v", n.injuries)
	}
}
