package metrics

import (
	"encoding/json"
	"time"
)

// Tally is what one worker process has done since its start, as each heartbeat publishes
// it: two of them, and the time between, are a rate.
type Tally struct {
	Claimed   uint64    `json:"claimed"`
	Fulfilled uint64    `json:"fulfilled"`
	Retried   uint64    `json:"retried"`
	Dead      uint64    `json:"dead"`
	Waiting   Histogram `json:"waiting"` // from the message's timestamp to its claim
	Working   Histogram `json:"working"` // of the work on an order
}

// ParseTally reads what [Tally.String] wrote; of what it cannot read nothing was done.
func ParseTally(text string) Tally {
	var t Tally
	if json.Unmarshal([]byte(text), &t) != nil {
		return Tally{}
	}
	return t
}

// String is the tally as JSON.
func (t Tally) String() string {
	text, _ := json.Marshal(t) // numbers only
	return string(text)
}

// Since is what was done after earlier, a tally of the same process.
func (t Tally) Since(earlier Tally) Tally {
	return Tally{
		Claimed:   less(t.Claimed, earlier.Claimed),
		Fulfilled: less(t.Fulfilled, earlier.Fulfilled),
		Retried:   less(t.Retried, earlier.Retried),
		Dead:      less(t.Dead, earlier.Dead),
		Waiting:   t.Waiting.since(earlier.Waiting),
		Working:   t.Working.since(earlier.Working),
	}
}

// Plus is what two have done together.
func (t Tally) Plus(other Tally) Tally {
	return Tally{
		Claimed:   t.Claimed + other.Claimed,
		Fulfilled: t.Fulfilled + other.Fulfilled,
		Retried:   t.Retried + other.Retried,
		Dead:      t.Dead + other.Dead,
		Waiting:   t.Waiting.plus(other.Waiting),
		Working:   t.Working.plus(other.Working),
	}
}

func less(now, before uint64) uint64 { return now - min(now, before) }

// Histogram counts durations: its first number those up to [Shortest], each of the next
// those up to twice as long, and its last, of [Buckets], what is longer still.
type Histogram []uint64

// The form of every Histogram.
const (
	Shortest = time.Millisecond
	Buckets  = 21
)

// bucket is the place of d.
func bucket(d time.Duration) int {
	b := 0
	for bound := Shortest; d > bound && b < Buckets-1; bound *= 2 {
		b++
	}
	return b
}

// Quantile is the duration that a share of q does not exceed, as far as the counts tell:
// within a bucket they are taken to be spread evenly. It is 0 where nothing was counted.
func (h Histogram) Quantile(q float64) time.Duration {
	var all uint64
	for _, n := range h {
		all += n
	}
	if all == 0 {
		return 0
	}
	rank := q * float64(all)
	lower, upper := time.Duration(0), Shortest
	for i, n := range h {
		if i == Buckets-1 {
			break
		}
		if n > 0 && rank <= float64(n) {
			return lower + time.Duration(float64(upper-lower)*max(0, rank)/float64(n))
		}
		rank -= float64(n)
		lower, upper = upper, upper*2
	}
	return lower
}

func (h Histogram) since(earlier Histogram) Histogram {
	return combine(h, earlier, less)
}

func (h Histogram) plus(other Histogram) Histogram {
	return combine(h, other, func(a, b uint64) uint64 { return a + b })
}

// combine takes a number that one of them has not for 0.
func combine(a, b Histogram, with func(a, b uint64) uint64) Histogram {
	both := make(Histogram, max(len(a), len(b)))
	copy(both, a)
	for i := range both {
		var n uint64
		if i < len(b) {
			n = b[i]
		}
		both[i] = with(both[i], n)
	}
	return both
}
