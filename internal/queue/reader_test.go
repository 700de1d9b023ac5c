package queue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"
)

// collect reads a sequence to its end.
func collect[T any](tb testing.TB, all iter.Seq2[T, error]) (read []T) {
	tb.Helper()
	for one, err := range all {
		must(tb, err)
		read = append(read, one)
	}
	return read
}

func TestReader_waiting(t *testing.T) {
	huge := strings.Repeat("x", 2<<20)
	mixed := names("m", 1200)
	for i := 100; i < 1100; i += 100 {
		mixed[i] = huge
	}
	for _, tt := range []struct {
		name    string
		waiting []string // the first to be the first out
	}{
		{"an empty queue", nil},
		{"one message", names("m", 1)},
		{"several pages", names("m", 2345)},
		{"several that are too long to be read", []string{"a", huge, huge, "b"}},
		{"some of them among many", mixed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.push(tt.waiting...)
			read := collect(t, queue.NewReader(b.rdb, b.cfg.Name).Waiting(t.Context()))
			if len(read) != len(tt.waiting) {
				t.Fatalf("%d messages were read, want %d", len(read), len(tt.waiting))
			}
			slices.Reverse(read)
			for i, w := range read {
				want := tt.waiting[i]
				if want == huge {
					want = ""
				}
				if w.Payload != want || w.Ahead != int64(i) {
					t.Fatalf("message %d is %.20q with %d ahead, want %.20q", i, w.Payload, w.Ahead, want)
				}
			}
		})
	}
}

// The queue grows and shrinks while it is read: what is there all the time is seen.
func TestReader_waitingWhileItMoves(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.push(names("gone", 3000)...)
	b.push(names("stays", 3000)...)
	seen := map[string]int{}
	n := 0
	for w, err := range queue.NewReader(b.rdb, b.cfg.Name).Waiting(ctx) {
		must(t, err)
		seen[w.Payload]++
		if n++; n%50 == 0 {
			must(t, b.rdb.LPush(ctx, b.keys.Queue(), "new", "newer").Err())
			must(t, b.rdb.RPop(ctx, b.keys.Queue()).Err())
			must(t, b.rdb.RPush(ctx, b.keys.Queue(), "back", "back").Err())
		}
	}
	for _, payload := range names("stays", 3000) {
		if seen[payload] == 0 {
			t.Fatalf("%s was missed", payload)
		}
	}
}

func TestReader_letters(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	payloads := names("payload", 1203)
	payloads[600] = strings.Repeat("x", 3<<20)
	ids := b.bury(payloads...)
	odd, err := b.rdb.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{"reason", "exhausted"}}).Result()
	must(t, err)
	reader := queue.NewReader(b.rdb, b.cfg.Name)
	idsOf := func(s queue.Selection) (read []string) {
		for _, l := range collect(t, reader.Letters(ctx, s)) {
			read = append(read, l.ID)
		}
		return read
	}
	backwards := slices.Clone(ids)
	slices.Reverse(backwards)
	for _, tt := range []struct {
		name string
		s    queue.Selection
		want []string
	}{
		{"all", queue.Selection{}, append(slices.Clone(ids), odd)},
		{"the newest first", queue.Selection{Newest: true}, append([]string{odd}, backwards...)},
		{"those of a reason", queue.Selection{Reason: queue.Rejected}, ids},
		{"those of another", queue.Selection{Reason: queue.Exhausted, Newest: true}, []string{odd}},
		{"of no letter", queue.Selection{Reason: queue.TooLarge}, nil},
		{"after one", queue.Selection{After: ids[1000], Reason: queue.Rejected}, ids[1001:]},
		{"older than one", queue.Selection{After: ids[2], Newest: true}, []string{ids[1], ids[0]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := idsOf(tt.s); !slices.Equal(got, tt.want) {
				t.Errorf("%d letters, want %d in their order", len(got), len(tt.want))
			}
		})
	}

	for l, err := range reader.Letters(ctx, queue.Selection{Head: 4}) {
		must(t, err)
		if l.Length != len("payload0") || l.Fields["payload"] != "payl" || l.Fields["order_id"] != "1" || l.Fields["reason"] != "rejected" {
			t.Errorf("the first letter is %+v", l)
		}
		break
	}
	long, err := reader.Letter(ctx, ids[600], 10)
	must(t, err)
	if long.ID != ids[600] || long.Length != 3<<20 || long.Fields["payload"] != "xxxxxxxxxx" {
		t.Errorf("the long letter is %+v", long)
	}
	if _, err := reader.Letter(ctx, "5-5", 10); !errors.Is(err, redis.Nil) {
		t.Errorf("a letter that is none answers %v, want redis.Nil", err)
	}
	if _, err := reader.Letter(ctx, "no id", 10); !errors.Is(err, queue.ErrLetterID) {
		t.Errorf("what is no id answers %v, want ErrLetterID", err)
	}
}

func TestReader_delayed(t *testing.T) {
	b := newBench(t)
	want := map[string]int64{}
	for i := range 1500 {
		payload := fmt.Sprint("m", i)
		want[payload] = 1769860800000 + int64(i)
		must(t, b.rdb.ZAdd(t.Context(), b.keys.Delayed(), redis.Z{Score: float64(want[payload]), Member: payload}).Err())
	}
	got := map[string]int64{}
	for _, d := range collect(t, queue.NewReader(b.rdb, b.cfg.Name).Delayed(t.Context())) {
		got[d.Payload] = d.Due.UnixMilli()
	}
	if len(got) != len(want) || got["m7"] != want["m7"] {
		t.Errorf("%d messages were read, m7 due at %d; want %d, %d", len(got), got["m7"], len(want), want["m7"])
	}
}

// A sequence that meets an error ends with it.
func TestReader_endsWithAnError(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reader := queue.NewReader(b.rdb, b.cfg.Name)
	count := func(err error) int {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it answers %v, want that its context has ended", err)
		}
		return 1
	}
	n := 0
	for _, err := range reader.Waiting(ctx) {
		n += count(err)
	}
	for _, err := range reader.Letters(ctx, queue.Selection{}) {
		n += count(err)
	}
	for _, err := range reader.Delayed(ctx) {
		n += count(err)
	}
	if n != 3 {
		t.Errorf("three sequences have answered %d times, want each once", n)
	}
}

// Who looks for what ails Redis can look.
func TestReader_readsWhereRedisRefusesChanges(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	b.push("m")
	b.bury("a")
	must(t, b.rdb.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	if err := b.rdb.LPush(t.Context(), b.keys.Queue(), "more").Err(); err == nil {
		t.Error("it takes a message, and should not")
	}
	reader := queue.NewReader(b.rdb, b.cfg.Name)
	waiting, letters := collect(t, reader.Waiting(t.Context())), collect(t, reader.Letters(t.Context(), queue.Selection{}))
	if len(waiting) != 1 || len(letters) != 1 {
		t.Errorf("%d messages and %d letters were read, want one each", len(waiting), len(letters))
	}
}

// A page is read in few pieces, for Redis walks through the queue to each.
func TestReader_waitingInFewPieces(t *testing.T) {
	t.Parallel()
	b := benchAt(t, testenv.OwnRedis(t).URL(), "q")
	const pages = 20
	b.push(names(strings.Repeat("m", 200), 500*pages)...)
	if n := len(collect(t, queue.NewReader(b.rdb, b.cfg.Name).Waiting(t.Context()))); n != 500*pages {
		t.Errorf("%d messages were read, want %d", n, 500*pages)
	}
	stats, err := b.rdb.Info(t.Context(), "commandstats").Result()
	must(t, err)
	_, rest, _ := strings.Cut(stats, "cmdstat_lrange:calls=")
	calls, _, _ := strings.Cut(rest, ",")
	if n, err := strconv.Atoi(calls); err != nil || n < pages || n > 15*pages {
		t.Errorf("%s pieces of %d pages, want fifteen a page at most", calls, pages)
	}
}
