package queue

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/pause.lua
var pauseLua string

//go:embed lua/resume.lua
var resumeLua string

//go:embed lua/requeue.lua
var requeueLua string

//go:embed lua/drop.lua
var dropLua string

var (
	pauseScript   = redis.NewScript(pauseLua)
	resumeScript  = redis.NewScript(resumeLua)
	requeueScript = redis.NewScript(requeueLua)
	dropScript    = redis.NewScript(dropLua)
)

// lettersAtOnce is how many dead letters one script moves or forgets.
const lettersAtOnce = 200

// Operator changes a queue on behalf of a person, and leaves an event that says who it was.
// Workers may run meanwhile, and other operators. After an error, which may have come too
// late to prevent anything, a call may be repeated: what was done is not done again.
type Operator struct {
	rdb  redis.UniversalClient
	keys Keys
	who  string
}

// NewOperator returns an operator of the queue with that name.
func NewOperator(rdb redis.UniversalClient, queueName, who string) *Operator {
	return &Operator{rdb: rdb, keys: NewKeys(queueName), who: who}
}

// Pause lets nobody claim any more, two seconds from now at the latest; work in hand goes
// on. It reports false if the queue was paused already.
func (o *Operator) Pause(ctx context.Context) (changed bool, err error) {
	now, err := o.redisClock(ctx)
	if err != nil {
		return false, err
	}
	return o.run(ctx, pauseScript, []string{o.keys.Paused(), o.keys.Events()}, o.who, now).Bool()
}

// redisClock is what Redis's clock says, as people read it.
func (o *Operator) redisClock(ctx context.Context) (string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	node, err := master(ctx, o.rdb, o.keys.Queue())
	if err != nil {
		return "", err
	}
	now, err := node.Time(ctx).Result()
	return now.UTC().Format(time.RFC3339), err
}

// Resume ends a pause. It reports false if there was none.
func (o *Operator) Resume(ctx context.Context) (changed bool, err error) {
	return o.run(ctx, resumeScript, []string{o.keys.Paused(), o.keys.Events()}, o.who).Bool()
}

// Requeue puts the messages of these dead letters in front of the queue, the oldest letter's
// foremost, as if they had never been delivered; their orders may be taken over at once. It
// says how many letters there were.
func (o *Operator) Requeue(ctx context.Context, ids ...string) (int, error) {
	return o.each(ctx, ids, requeueScript, o.keys.Dead(), o.keys.Queue(), o.keys.Deliveries(), o.keys.Returned(), o.keys.Events())
}

// Drop forgets these dead letters for good, and says how many there were. An order that is
// still open has no message then: the reconciler will make it one.
func (o *Operator) Drop(ctx context.Context, ids ...string) (int, error) {
	return o.each(ctx, ids, dropScript, o.keys.Dead(), o.keys.Events())
}

// each runs a script for all letters, the youngest first, in bounded steps.
func (o *Operator) each(ctx context.Context, ids []string, script *redis.Script, keys ...string) (done int, err error) {
	ids, err = youngestFirst(ids)
	if err != nil {
		return 0, err
	}
	for len(ids) > 0 {
		args := []any{o.who}
		for _, id := range ids[:min(len(ids), lettersAtOnce)] {
			args = append(args, id)
		}
		answer, err := o.run(ctx, script, keys, args...).Int64Slice()
		if err != nil {
			return done, err
		}
		ids, done = ids[answer[0]:], done+int(answer[1])
	}
	return done, nil
}

func (o *Operator) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return script.Run(ctx, o.rdb, keys, args...)
}

// youngestFirst sorts the ids of dead letters.
func youngestFirst(ids []string) ([]string, error) {
	type letter struct {
		id            string
		ms, remainder uint64
	}
	letters := make([]letter, len(ids))
	for i, id := range ids {
		ms, remainder, err := parseLetterID(id)
		if err != nil {
			return nil, err
		}
		letters[i] = letter{id, ms, remainder}
	}
	slices.SortFunc(letters, func(a, b letter) int {
		return cmp.Or(cmp.Compare(b.ms, a.ms), cmp.Compare(b.remainder, a.remainder))
	})
	sorted := make([]string, len(ids))
	for i, l := range letters {
		sorted[i] = l.id
	}
	return sorted, nil
}

// ErrLetterID means that something cannot be the id of a dead letter.
var ErrLetterID = errors.New("no dead letter's id")

// IsLetterID reports whether something may be the id of a dead letter.
func IsLetterID(id string) bool {
	_, _, err := parseLetterID(id)
	return err == nil
}

// parseLetterID reads an id of the stream of dead letters.
func parseLetterID(id string) (ms, remainder uint64, err error) {
	first, second, _ := strings.Cut(id, "-")
	ms, err = strconv.ParseUint(first, 10, 64)
	if err == nil {
		remainder, err = strconv.ParseUint(second, 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%q is %w", id, ErrLetterID)
	}
	return ms, remainder, nil
}
