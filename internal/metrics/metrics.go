// Package metrics counts what a worker process does.
//
// # What callers may rely on
//
//   - A [Tally] reads the same in every process of every version that knows its form.
//
// # What this package never does
//
//   - It asks no server for anything.
package metrics
