package model

import "slices"

// Stuck looks for a run that never comes to its end although nothing goes wrong any more:
// it rests in a state that is no end, or goes round for ever and is fair, which means that
// no step is possible all the time and never made. Steps that are faults do not count.
// It returns the shortest way into such a run, or nil if there is none.
func (g *Graph[S, L]) Stuck(end func(S) bool, fault func(L) bool) *Breach[S, L] {
	open := make([]bool, len(g.States))
	for n, s := range g.States {
		open[n] = !end(s)
	}
	free := func(n int32, visit func(L, int32)) {
		for _, e := range g.edges[n] {
			if !fault(e.by) {
				visit(e.by, e.to)
			}
		}
	}
	worst := int32(-1)
	for _, round := range components(open, free) {
		if first := slices.Min(round); (worst < 0 || first < worst) && staysIn(round, free) {
			worst = first
		}
	}
	if worst < 0 {
		return nil
	}
	return g.way("every order comes to its end", worst)
}

// staysIn reports whether a fair run may stay in these states for ever: none of them lets
// any step be made by which all of them, and always, could be left.
func staysIn[L comparable](round []int32, free func(int32, func(L, int32))) bool {
	inside := make(map[int32]bool, len(round))
	for _, n := range round {
		inside[n] = true
	}
	possible := map[L]int{} // in how many of the states
	stays := map[L]bool{}
	moves := false
	for _, n := range round {
		free(n, func(by L, to int32) {
			possible[by]++
			if inside[to] {
				stays[by], moves = true, true
			}
		})
	}
	for by, n := range possible {
		if n == len(round) && !stays[by] {
			return false
		}
	}
	return moves || len(possible) == 0
}

// components are the strongly connected components of the open states, by Tarjan's
// algorithm.
func components[L comparable](open []bool, free func(int32, func(L, int32))) (all [][]int32) {
	var (
		index, low = make([]int32, len(open)), make([]int32, len(open)) // 0: not yet seen
		onStack    = make([]bool, len(open))
		stack      []int32
		count      int32
		visit      func(int32)
	)
	visit = func(n int32) {
		count++
		index[n], low[n] = count, count
		stack, onStack[n] = append(stack, n), true
		free(n, func(_ L, to int32) {
			switch {
			case !open[to]:
			case index[to] == 0:
				visit(to)
				low[n] = min(low[n], low[to])
			case onStack[to]:
				low[n] = min(low[n], index[to])
			}
		})
		if low[n] != index[n] {
			return
		}
		var round []int32
		for len(round) == 0 || round[len(round)-1] != n {
			top := len(stack) - 1
			round, onStack[stack[top]] = append(round, stack[top]), false
			stack = stack[:top]
		}
		all = append(all, round)
	}
	for n := range open {
		if open[n] && index[n] == 0 {
			visit(int32(n))
		}
	}
	return all
}
