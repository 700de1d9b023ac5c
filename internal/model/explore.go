package model

import "slices"

// Graph is all that can happen: every state that can be reached, and every step between
// two of them.
type Graph[S, L comparable] struct {
	States []S // in the order of a breadth-first search: the first has number 0
	edges  [][]edge[L]
	parent []int32 // from which state each was reached first
	by     []L     // and by which step
}

type edge[L comparable] struct {
	by L
	to int32
}

// Breach is a promise that was broken, and the shortest way there.
type Breach[S, L comparable] struct {
	Promise string
	Steps   []L
	States  []S // after each step
}

// Explore visits every state that can be reached from the first one. It stops at the first
// step that breaks a promise, as broken names it.
func Explore[S, L comparable](first S, next func(S, func(L, S)), broken func(from, to S) string) (*Graph[S, L], *Breach[S, L]) {
	g := &Graph[S, L]{States: []S{first}, edges: [][]edge[L]{nil}, parent: []int32{-1}, by: make([]L, 1)}
	number := map[S]int32{first: 0}
	var breach *Breach[S, L]
	for n := 0; n < len(g.States) && breach == nil; n++ {
		from := g.States[n]
		next(from, func(by L, to S) {
			at, seen := number[to]
			if !seen {
				at = int32(len(g.States))
				number[to] = at
				g.States = append(g.States, to)
				g.edges = append(g.edges, nil)
				g.parent = append(g.parent, int32(n))
				g.by = append(g.by, by)
			}
			g.edges[n] = append(g.edges[n], edge[L]{by, at})
			if promise := broken(from, to); promise != "" && breach == nil {
				breach = g.way(promise, int32(n))
				breach.Steps, breach.States = append(breach.Steps, by), append(breach.States, to)
			}
		})
	}
	return g, breach
}

// way is how a state was reached first.
func (g *Graph[S, L]) way(promise string, at int32) *Breach[S, L] {
	b := &Breach[S, L]{Promise: promise}
	for ; g.parent[at] >= 0; at = g.parent[at] {
		b.Steps, b.States = append(b.Steps, g.by[at]), append(b.States, g.States[at])
	}
	slices.Reverse(b.Steps)
	slices.Reverse(b.States)
	return b
}
