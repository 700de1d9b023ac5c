package queue

import (
	"context"
	_ "embed"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/letters.lua
var lettersLua string

//go:embed lua/waiting.lua
var waitingLua string

var (
	lettersScript = redis.NewScript(lettersLua)
	waitingScript = redis.NewScript(waitingLua)
)

// longestRead is the length from which on a waiting message is not read: it is none that
// anybody would write.
const longestRead = 1 << 20

// Reader reads what may be long of a queue, page by page: neither Redis nor the reader is
// kept busy, or full, by its length. What moves meanwhile may be seen twice. A sequence that
// meets an error ends with it.
type Reader struct {
	rdb  redis.UniversalClient
	keys Keys
}

// NewReader returns a reader of the queue with that name.
func NewReader(rdb redis.UniversalClient, queueName string) *Reader {
	return &Reader{rdb: rdb, keys: NewKeys(queueName)}
}

// run runs a script that changes nothing, also where Redis refuses changes.
func (r *Reader) run(ctx context.Context, script *redis.Script, key string, args ...any) *redis.Cmd {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return script.RunRO(ctx, r.rdb, []string{key}, args...)
}

// Letter is a dead letter as it stands in Redis.
type Letter struct {
	ID     string
	Length int               // of the payload
	Fields map[string]string // with as much of the payload as was asked for
}

// Selection says which dead letters to read. The zero value is all of them, the oldest
// first, without their payloads.
type Selection struct {
	Reason Reason // "" is any
	Newest bool   // first
	After  string // the id of the letter that was read last; "" is to begin
	Head   int    // most bytes of a payload
}

// Letters are the dead letters of a selection. A letter that is there all the time is not
// missed.
func (r *Reader) Letters(ctx context.Context, s Selection) iter.Seq2[Letter, error] {
	command, first, last := "XRANGE", "-", "+"
	if s.Newest {
		command, first, last = "XREVRANGE", last, first
	}
	if s.After != "" {
		first = "(" + s.After
	}
	return func(yield func(Letter, error) bool) {
		for first := first; first != ""; {
			answer, err := r.run(ctx, lettersScript, r.keys.Dead(),
				command, first, last, page, string(s.Reason), s.Head).Slice()
			if err != nil {
				yield(Letter{}, err)
				return
			}
			for _, letter := range answer[1].([]any) {
				if !yield(readLetter(letter.([]any)), nil) {
					return
				}
			}
			first = answer[0].(string)
		}
	}
}

// Letter is the dead letter with that id, with so many bytes of its payload at most, or
// [redis.Nil].
func (r *Reader) Letter(ctx context.Context, id string, head int) (Letter, error) {
	if _, _, err := parseLetterID(id); err != nil {
		return Letter{}, err
	}
	answer, err := r.run(ctx, lettersScript, r.keys.Dead(), "XRANGE", id, id, 1, "", head).Slice()
	if err != nil {
		return Letter{}, err
	}
	for _, letter := range answer[1].([]any) {
		return readLetter(letter.([]any)), nil
	}
	return Letter{}, redis.Nil
}

// readLetter reads a letter in the answer of letters.lua.
func readLetter(answer []any) Letter {
	l := Letter{ID: answer[0].(string), Length: int(answer[1].(int64)), Fields: map[string]string{}}
	for fields := texts(answer[2]); len(fields) > 1; fields = fields[2:] {
		l.Fields[fields[0]] = fields[1]
	}
	return l
}

// Waiting is a message in the queue.
type Waiting struct {
	Payload string // "" where it is longer than anybody would write
	Ahead   int64  // how many messages are taken before it
}

// Waiting are the messages in the queue, the newest first. A message that is there all the
// time is not missed: what leaves the queue, and what comes back to it, was before it. It may be
// seen twice, for what comes is behind it.
func (r *Reader) Waiting(ctx context.Context) iter.Seq2[Waiting, error] {
	return func(yield func(Waiting, error) bool) {
		for skip := int64(0); ; {
			answer, err := r.run(ctx, waitingScript, r.keys.Queue(), skip, page, longestRead).Slice()
			if err != nil {
				yield(Waiting{}, err)
				return
			}
			length, payloads := answer[0].(int64), texts(answer[1])
			for _, payload := range payloads {
				skip++
				if !yield(Waiting{payload, length - skip}, nil) {
					return
				}
			}
			if skip >= length {
				return
			}
		}
	}
}

// Delayed is a message that waits for its next delivery.
type Delayed struct {
	Payload string
	Due     time.Time
}

// Delayed are the delayed messages, in no order. A message that is there all the time is not
// missed.
func (r *Reader) Delayed(ctx context.Context) iter.Seq2[Delayed, error] {
	return func(yield func(Delayed, error) bool) {
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			members, next, err := r.scanDelayed(ctx, cursor)
			if err != nil {
				yield(Delayed{}, err)
				return
			}
			for _, z := range members {
				if !yield(z, nil) {
					return
				}
			}
			cursor = next
		}
	}
}

func (r *Reader) scanDelayed(ctx context.Context, cursor uint64) (members []Delayed, next uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, next, err := r.rdb.ZScan(ctx, r.keys.Delayed(), cursor, "", page).Result()
	for ; len(found) > 1; found = found[2:] { // each is followed by its score
		due, _ := strconv.ParseFloat(found[1], 64)
		members = append(members, Delayed{found[0], time.UnixMilli(int64(due))})
	}
	return members, next, err
}
