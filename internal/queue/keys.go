package queue

import (
	"strconv"
	"strings"
)

// Keys names every Redis key of one queue. Nothing outside this file spells one.
//
// The braces put all keys into the hash slot of the bare queue name, so that a
// script may touch several of them in Redis Cluster too.
type Keys struct {
	queue, tag string
}

// NewKeys returns the keys of the queue with that name. A name with a hash tag of
// its own, as in "{shop}:orders", gets no second pair of braces.
func NewKeys(queue string) Keys {
	if strings.Contains(queue, "{") {
		return Keys{queue, queue}
	}
	return Keys{queue, "{" + queue + "}"}
}

// Queue is the list of waiting messages: newest left, oldest right.
func (k Keys) Queue() string { return k.queue }

// Workers is the zset of instances; the score is the end of the lease in ms by
// Redis's clock, or 0 once a reaper has condemned the instance.
func (k Keys) Workers() string { return k.tag + ":workers" }

// Worker is the hash that describes an instance; for each order that it is working on
// it shows a field "order:<digest>", which says since when (ms), the order's id and
// its correlation id, with blanks between. While it is reaped, "given:<digest>" says what was
// given back.
func (k Keys) Worker(instance string) string { return k.tag + ":worker:" + instance }

// Processing is the list of what an instance has in hand: newest left.
func (k Keys) Processing(instance string) string { return k.tag + ":processing:" + instance }

const (
	// laneLength is how many slots there are for each list that an instance keeps.
	// To remove one Redis goes through the list, which costs more the longer it is.
	laneLength = 128

	mostLanes = 32 // of any instance
)

// Lanes are the processing lists of an instance that has so many slots:
// that of [Keys.Processing], and others where one would be too long.
func (k Keys) Lanes(instance string, concurrency int) []string {
	lanes := []string{k.Processing(instance)}
	for n := 1; n < min(mostLanes, (concurrency+laneLength-1)/laneLength); n++ {
		lanes = append(lanes, lanes[0]+":"+strconv.Itoa(n))
	}
	return lanes
}

// allLanes are the lists that an instance may have, however many slots it has.
func (k Keys) allLanes(instance string) []string { return k.Lanes(instance, mostLanes*laneLength) }

// Pattern is a SCAN pattern that finds every key of the queue but the queue itself.
func (k Keys) Pattern() string {
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)
	return escape.Replace(k.tag) + ":*"
}

// ProcessingPattern is a SCAN pattern that finds every processing list.
func (k Keys) ProcessingPattern() string {
	return strings.TrimSuffix(k.Pattern(), "*") + "processing:*"
}

// Instance is the owner of a processing list, given the list's key.
func (k Keys) Instance(processing string) string {
	instance, _, _ := strings.Cut(strings.TrimPrefix(processing, k.Processing("")), ":")
	return instance
}

// Delayed is the zset of messages that wait for their retry; the score is when
// they are due, in ms by Redis's clock.
func (k Keys) Delayed() string { return k.tag + ":delayed" }

// Deliveries is the hash from the digest of a payload to the deliveries charged
// to it so far.
func (k Keys) Deliveries() string { return k.tag + ":deliveries" }

// Returned is the hash of the digests of payloads that somebody held before and nobody
// has started since: their orders may be taken over at once. The value is "died <instance>" if
// that one held the payload last and died with it, and else "returned".
func (k Keys) Returned() string { return k.tag + ":returned" }

// Dead is the stream of dead letters.
func (k Keys) Dead() string { return k.tag + ":dead" }

// Events is the stream of the last thousand or so rare events.
func (k Keys) Events() string { return k.tag + ":events" }

// Paused is a string that exists while claiming is paused.
func (k Keys) Paused() string { return k.tag + ":paused" }

// Reconciled is a string: how many messages were put back that Redis had lost.
func (k Keys) Reconciled() string { return k.tag + ":reconciled" }

// Looked is a string that exists while nobody need look for what Redis has lost, with who
// looked last.
func (k Keys) Looked() string { return k.tag + ":looked" }
