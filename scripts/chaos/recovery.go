package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// cure is what tells that a fault has healed.
type cure struct {
	since time.Time
	watch *watch
}

// wait returns how long the recovery took, or false if ctx was done first.
func (c *cure) wait(ctx context.Context) (time.Duration, bool) {
	select {
	case <-ctx.Done():
		return 0, false
	case last := <-c.watch.done:
		return max(0, last.at.Sub(c.since)), true
	}
}

// drop ends the watch of a cure that nobody waits for.
func (h *history) drop(c *cure) {
	if c != nil {
		h.forget(c.watch)
	}
}

// heirs is the cure of a dead worker: others have taken each message that it held in
// hand. It is nil if there was none of an order.
func (n *nemesis) heirs(payloads []string, dead string, since time.Time) *cure {
	waiting := map[int64]bool{}
	for _, payload := range payloads {
		if id := orderOf(payload); id > 0 {
			waiting[id] = true
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return &cure{since, n.history.watch(func(e event) bool {
		if (e.what == began || e.what == saw) && e.actor != dead && e.at.After(since) {
			delete(waiting, e.order)
		}
		return len(waiting) == 0
	})}
}

// orderOf is the order that a payload names; 0 is none.
func orderOf(payload string) int64 {
	var m struct {
		OrderID int64 `json:"order_id"`
	}
	_ = json.Unmarshal([]byte(payload), &m) // poison is of no order
	return m.OrderID
}

// everyone is the cure of an outage: each worker has fulfilled an order since. Where the
// workers are not ours, anybody has.
func (n *nemesis) everyone(since time.Time) *cure {
	waiting := map[string]bool{}
	for _, w := range n.env.Workers() {
		waiting[w.Name()] = true
	}
	return &cure{since, n.history.watch(func(e event) bool {
		if e.what == said && e.at.After(since) || e.what == row && e.new == "fulfilled" && len(waiting) == 0 && e.at.After(since) {
			delete(waiting, slot(e.actor))
			return len(waiting) == 0
		}
		return false
	})}
}

// again is the cure of one worker: it fulfils an order, in whichever life.
func (n *nemesis) again(w worker, since time.Time) *cure {
	name := w.Name()
	return &cure{since, n.history.watch(func(e event) bool {
		return e.what == said && slot(e.actor) == name && e.at.After(since)
	})}
}

// cleared is the cure of a worker that may not know what it has in hand: somebody has
// begun each order there. Where all are begun, it is that of [nemesis.again].
func (i *injection) cleared(held []string, since time.Time) *cure {
	waiting := i.history.notBegun(held)
	if len(waiting) == 0 {
		return i.again(i.worker, since)
	}
	return &cure{since, i.history.watch(func(e event) bool {
		if e.what == began || e.what == saw || e.what == row && e.new == "fulfilled" {
			delete(waiting, e.order)
		}
		return len(waiting) == 0
	})}
}

// notBegun are the orders of those messages that nobody is known to have begun.
func (h *history) notBegun(payloads []string) map[int64]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[int64]bool{}
	for _, payload := range payloads {
		id := orderOf(payload)
		r := h.records[id]
		if r != nil && !r.fulfilled && !slices.ContainsFunc(r.events, func(e event) bool { return e.what == began }) {
			ids[id] = true
		}
	}
	return ids
}

// these is the cure of orders that were harmed: each is fulfilled.
func (n *nemesis) these(ids []int64, since time.Time) *cure {
	return &cure{since, n.history.watchOrders(ids)}
}

// watchOrders waits until those orders are fulfilled.
func (h *history) watchOrders(ids []int64) *watch {
	h.mu.Lock()
	waiting := map[int64]bool{}
	for _, id := range ids {
		if r := h.records[id]; r != nil && !r.fulfilled {
			waiting[id] = true
		}
	}
	w := &watch{done: make(chan event, 1), want: func(e event) bool {
		if e.what == row && e.new == "fulfilled" {
			delete(waiting, e.order)
		}
		return len(waiting) == 0
	}}
	h.watches = append(h.watches, w)
	h.mu.Unlock()
	return w
}
