package queue

import "sync"

// hand counts the messages that the worker knows to have in hand. Two copies of one
// payload count as two.
type hand struct {
	mu   sync.Mutex
	held map[string]int
	n    int
}

func (h *hand) take(payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[payload]++
	h.n++
}

func (h *hand) drop(payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n--
	if h.held[payload]--; h.held[payload] == 0 {
		delete(h.held, payload)
	}
}

// size is how many messages are in hand.
func (h *hand) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// snapshot is a copy of the counts.
func (h *hand) snapshot() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := make(map[string]int, len(h.held))
	for payload, n := range h.held {
		held[payload] = n
	}
	return held
}
