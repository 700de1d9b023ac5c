package queue

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// lane is one of the lists in which a worker keeps what it has in hand, and counts the
// messages that the worker knows to be there. Two copies of one payload count as two.
type lane struct {
	key string

	// noted are the keys of all that is kept about a message here: itself, its start, what it
	// was charged, and whether its order may be taken over.
	noted []string

	mu   sync.Mutex
	held map[string]int
	n    int
}

func newLanes(keys Keys, instance string, concurrency int) (lanes []*lane) {
	for _, key := range keys.Lanes(instance, concurrency) {
		noted := []string{key, keys.Worker(instance), keys.Deliveries(), keys.Redelivered()}
		lanes = append(lanes, &lane{key: key, noted: slices.Clip(noted), held: map[string]int{}})
	}
	return lanes
}

// emptiestFirst is the lanes in the order of how many messages they know.
func emptiestFirst(lanes []*lane) []*lane {
	return slices.SortedStableFunc(slices.Values(lanes), func(a, b *lane) int { return cmp.Compare(a.size(), b.size()) })
}

func (l *lane) take(payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[payload]++
	l.n++
}

func (l *lane) drop(payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	if l.held[payload]--; l.held[payload] == 0 {
		delete(l.held, payload)
	}
}

// size is how many messages are known.
func (l *lane) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// snapshot is a copy of the counts.
func (l *lane) snapshot() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.held)
}
