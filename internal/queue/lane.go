package queue

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// lane is one of the lists in which a worker keeps what it has in hand, and knows the
// deliveries of what is there.
type lane struct {
	key string

	// noted are the keys of all that is kept about a message here: itself, what it was charged,
	// and how it came back.
	noted []string

	mu   sync.Mutex
	held map[*Delivery]struct{}
}

func newLanes(keys Keys, instance string, concurrency int) (lanes []*lane) {
	for _, key := range keys.Lanes(instance, concurrency) {
		noted := []string{key, keys.Deliveries(), keys.Returned()}
		lanes = append(lanes, &lane{key: key, noted: slices.Clip(noted), held: map[*Delivery]struct{}{}})
	}
	return lanes
}

// emptiestFirst is the lanes in the order of how many messages they know.
func emptiestFirst(lanes []*lane) []*lane {
	return slices.SortedStableFunc(slices.Values(lanes), func(a, b *lane) int { return cmp.Compare(a.size(), b.size()) })
}

func (l *lane) take(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[d] = struct{}{}
}

func (l *lane) drop(d *Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, d)
}

// size is how many messages are known.
func (l *lane) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// deliveries are those of the messages that are known.
func (l *lane) deliveries() []*Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.held))
}

// payloads counts what is known by its payload: copies of one message are equal.
func (l *lane) payloads() map[string]int {
	counts := map[string]int{}
	for _, d := range l.deliveries() {
		counts[d.payload]++
	}
	return counts
}
