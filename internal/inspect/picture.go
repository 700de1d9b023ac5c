package inspect

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"fulfillment-worker/internal/queue"

	"github.com/redis/go-redis/v9"
)

// State says what the registration of a worker instance is worth.
type State string

// The states of a worker instance.
const (
	Alive        State = "alive"        // its lease runs
	Lapsed       State = "lapsed"       // its lease is over; nobody has acted upon it yet
	Condemned    State = "condemned"    // a reaper is giving back what it held
	Unregistered State = "unregistered" // it holds messages and is not registered
)

// picture is what the workers held at one instant.
type picture struct {
	now     time.Time
	workers []holder // by instance
}

// holder is one worker instance as Redis has it.
type holder struct {
	instance string
	state    State
	deadline time.Time         // of its lease; zero if condemned or unregistered
	facts    map[string]string // the hash that describes it; empty if there is none
	payloads []string          // in hand, oldest first
}

// take is a picture, together with what more adds to its transaction.
//
// Which lists there are must be known before the transaction is sent. A worker is
// registered before its first claim, so the picture is complete if the registry
// that comes with it names nobody new; otherwise another one is taken. The list of
// an instance that is not registered gains nothing, so that SCAN does find it.
func (i *Inspector) take(ctx context.Context, more func(redis.Pipeliner)) (picture, error) {
	node, err := i.node(ctx)
	if err != nil {
		return picture{}, err
	}
	lists, err := i.lists(ctx, node)
	if err != nil {
		return picture{}, err
	}
	for {
		film, err := i.expose(ctx, node, lists, more)
		if err != nil {
			return picture{}, err
		}
		missing := slices.DeleteFunc(film.registered(i.keys), func(key string) bool { return slices.Contains(lists, key) })
		if len(missing) == 0 {
			return film.develop(i.keys), nil
		}
		lists = append(lists, missing...)
	}
}

// node is where the queue's keys are: in a cluster one of its masters, for SCAN and
// TIME have no key that would lead there.
func (i *Inspector) node(ctx context.Context) (redis.UniversalClient, error) {
	cluster, ok := i.rdb.(*redis.ClusterClient)
	if !ok {
		return i.rdb, nil
	}
	return cluster.MasterForKey(ctx, i.keys.Queue())
}

// lists are the keys of the processing lists: of every registered instance, and
// those that hold something without a registration.
func (i *Inspector) lists(ctx context.Context, node redis.UniversalClient) ([]string, error) {
	registry, err := node.ZRange(ctx, i.keys.Workers(), 0, -1).Result()
	if err != nil {
		return nil, err
	}
	var lists []string
	for _, instance := range registry {
		lists = append(lists, i.keys.Processing(instance))
	}
	scan := node.ScanType(ctx, 0, i.keys.ProcessingPattern(), 1000, "list").Iterator()
	for scan.Next(ctx) {
		lists = append(lists, scan.Val())
	}
	slices.Sort(lists)
	return slices.Compact(lists), scan.Err()
}

// film is a picture that is not developed yet: the replies of one transaction.
type film struct {
	time     *redis.TimeCmd
	registry *redis.ZSliceCmd
	lists    map[string]*redis.StringSliceCmd     // by key
	facts    map[string]*redis.MapStringStringCmd // by instance
}

func (i *Inspector) expose(ctx context.Context, node redis.UniversalClient, lists []string, more func(redis.Pipeliner)) (film, error) {
	f := film{lists: map[string]*redis.StringSliceCmd{}, facts: map[string]*redis.MapStringStringCmd{}}
	_, err := node.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		f.time = tx.Time(ctx)
		f.registry = tx.ZRangeWithScores(ctx, i.keys.Workers(), 0, -1)
		for _, key := range lists {
			f.lists[key] = tx.LRange(ctx, key, 0, -1)
			if instance := i.keys.Instance(key); f.facts[instance] == nil {
				f.facts[instance] = tx.HGetAll(ctx, i.keys.Worker(instance))
			}
		}
		more(tx)
		return nil
	})
	return f, err
}

// registered are the keys of the processing lists of those in the registry, as far as they
// have described themselves.
func (f film) registered(keys queue.Keys) (lists []string) {
	for _, z := range f.registry.Val() {
		instance, concurrency := z.Member.(string), 1
		if facts := f.facts[instance]; facts != nil {
			concurrency, _ = strconv.Atoi(facts.Val()["concurrency"])
		}
		lists = append(lists, keys.Lanes(instance, concurrency)...)
	}
	return lists
}

func (f film) develop(keys queue.Keys) picture {
	p := picture{now: f.time.Val()}
	scores := map[string]float64{}
	for _, z := range f.registry.Val() {
		scores[z.Member.(string)] = z.Score
	}
	inHand := map[string][]string{}
	for key, list := range f.lists {
		payloads := slices.Clone(list.Val())
		slices.Reverse(payloads)
		instance := keys.Instance(key)
		inHand[instance] = append(inHand[instance], payloads...)
	}
	for instance, facts := range f.facts {
		h := holder{instance: instance, facts: facts.Val(), payloads: inHand[instance]}
		score, ok := scores[instance]
		h.state, h.deadline = standing(score, ok, p.now)
		if h.state != Unregistered || len(h.payloads) > 0 { // else it has gone since the list was found
			p.workers = append(p.workers, h)
		}
	}
	slices.SortFunc(p.workers, func(a, b holder) int { return strings.Compare(a.instance, b.instance) })
	return p
}

// standing reads a score of the registry.
func standing(score float64, registered bool, now time.Time) (State, time.Time) {
	deadline := time.UnixMilli(int64(score))
	switch {
	case !registered:
		return Unregistered, time.Time{}
	case score == 0:
		return Condemned, time.Time{}
	case deadline.After(now):
		return Alive, deadline
	}
	return Lapsed, deadline
}

// overdue is for how long a whole lease has passed since the lease was over;
// negative if it has not. An instance that is not registered has no lease.
func (h holder) overdue(now time.Time, believed time.Duration) time.Duration {
	beat, known := h.milliseconds("beat_at")
	switch {
	case h.state == Lapsed && known && h.deadline.After(beat):
		return now.Sub(h.deadline) - h.deadline.Sub(beat)
	case h.state == Lapsed:
		return now.Sub(h.deadline) - believed
	case h.state == Condemned && known: // the registry has forgotten when that was
		return now.Sub(beat) - 2*believed
	case h.state == Condemned:
		return believed
	}
	return -believed
}

// milliseconds is a fact that is a time.
func (h holder) milliseconds(field string) (time.Time, bool) {
	ms, err := strconv.ParseInt(h.facts[field], 10, 64)
	return time.UnixMilli(ms), err == nil
}

// started is when the instance began to work on the payload with that digest, or
// false if it has only claimed it.
func (h holder) started(digest string) (time.Time, bool) {
	since, _, _ := strings.Cut(h.facts["order:"+digest], " ")
	ms, err := strconv.ParseInt(since, 10, 64)
	return time.UnixMilli(ms), err == nil
}
