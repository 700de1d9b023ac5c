package watch

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	tea "charm.land/bubbletea/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// lease is that of the workers in these tests.
const lease = time.Minute

// bench is a screen, and the queue that it shows.
type bench struct {
	*Screen
	t    *testing.T
	rdb  *redis.Client
	db   *pgxpool.Pool
	keys queue.Keys
}

func newBench(t *testing.T) *bench {
	t.Helper()
	url, name := testenv.Redis(t)
	rdb, db := testenv.RedisClient(t, url), testenv.Pool(t, testenv.Database(t))
	b := &bench{
		NewScreen(inspect.New(rdb, db, name, lease), queue.NewOperator(rdb, name, "operator@desk")), t, rdb, db, queue.NewKeys(name),
	}
	b.resize(80, 24)
	return b
}

func (b *bench) resize(width, height int) { b.Update(tea.WindowSizeMsg{Width: width, Height: height}) }

// look lets the screen see the queue as it is.
func (b *bench) look() {
	b.t.Helper()
	b.see(firstFrame(b.t, b.inspector))
}

// firstFrame is what a new watcher sees first.
func firstFrame(t *testing.T, i *inspect.Inspector) inspect.Frame {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	live, done := inspect.NewLive(i), make(chan error)
	go func() { done <- live.Run(ctx) }()
	defer func() {
		stop()
		must(t, <-done)
	}()
	for f := range live.Watch(ctx) {
		return f
	}
	return inspect.Frame{}
}

// press types keys, and runs what they command.
func (b *bench) press(names ...string) {
	b.t.Helper()
	for _, name := range names {
		b.follow(b.Screen.press(name))
	}
}

// follow runs a command, and what comes of it.
func (b *bench) follow(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	_, next := b.Update(cmd())
	b.follow(next)
}

var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// blanks are at the ends of lines.
var blanks = regexp.MustCompile(`(?m) +$`)

// text is the screen without colours.
func (b *bench) text() string {
	return blanks.ReplaceAllString(colours.ReplaceAllString(b.View().Content, ""), "")
}

// line is the first one of the screen that holds what.
func (b *bench) line(what string) string {
	b.t.Helper()
	for line := range strings.SplitSeq(b.text(), "\n") {
		if strings.Contains(line, what) {
			return line
		}
	}
	b.t.Fatalf("no line says %q:\n%s", what, b.text())
	return ""
}

func (b *bench) shows(patterns ...string) {
	b.t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(b.text()) {
			b.t.Errorf("the screen does not show %q:\n%s", p, b.text())
		}
	}
}

func (b *bench) shuns(pattern string) {
	b.t.Helper()
	if regexp.MustCompile(pattern).MatchString(b.text()) {
		b.t.Errorf("the screen shows %q:\n%s", pattern, b.text())
	}
}

// join registers a worker whose lease ends so far from now.
func (b *bench) join(instance string, left time.Duration) {
	b.t.Helper()
	now := b.clock()
	deadline := now.Add(left).UnixMilli()
	must(b.t, b.rdb.HSet(b.t.Context(), b.keys.Worker(instance), "host", "box", "version", "v7", "concurrency", 4,
		"started_at", now.Add(-time.Hour).UnixMilli(), "beat_at", deadline-lease.Milliseconds()).Err())
	must(b.t, b.rdb.ZAdd(b.t.Context(), b.keys.Workers(), redis.Z{Score: float64(deadline), Member: instance}).Err())
}

func (b *bench) clock() time.Time {
	b.t.Helper()
	now, err := b.rdb.Time(b.t.Context()).Result()
	must(b.t, err)
	return now
}

// hold puts an order in a worker's hand that it works on since so long ago.
func (b *bench) hold(instance string, id int, correlationID string, ago time.Duration) {
	b.t.Helper()
	payload := fmt.Sprintf(`{"order_id": %d}`, id)
	must(b.t, b.rdb.LPush(b.t.Context(), b.keys.Processing(instance), payload).Err())
	note := fmt.Sprintf("%d %d %s", b.clock().Add(-ago).UnixMilli(), id, correlationID)
	must(b.t, b.rdb.HSet(b.t.Context(), b.keys.Worker(instance), "order:"+queue.Digest([]byte(payload)), note).Err())
}

// insert makes n orders in PostgreSQL, from id 1 on.
func (b *bench) insert(n int, status order.Status) {
	b.t.Helper()
	_, err := b.db.Exec(b.t.Context(), `INSERT INTO orders (product_id, quantity, status) SELECT 1, 1, $2 FROM generate_series(1, $1)`, n, string(status))
	must(b.t, err)
}

func (b *bench) happen(kind string, fields ...string) {
	b.t.Helper()
	must(b.t, b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{Stream: b.keys.Events(), Values: append([]string{"event", kind}, fields...)}).Err())
}

// bury makes a dead letter and returns its id.
func (b *bench) bury(id, reason, err string) string {
	b.t.Helper()
	letter, redisErr := b.rdb.XAdd(b.t.Context(), &redis.XAddArgs{Stream: b.keys.Dead(), Values: []string{
		"payload", `{"order_id": ` + id + `}`, "reason", reason, "error", err, "order_id", id, "correlation_id", "c-" + id, "deliveries", "3", "instance", "w-1",
	}}).Result()
	must(b.t, redisErr)
	return letter
}

// busy is a queue with something in every place.
func busy(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	ctx := t.Context()
	b.insert(2, order.Processing)
	for range 1234 {
		must(t, b.rdb.LPush(ctx, b.keys.Queue(), "x").Err())
	}
	must(t, b.rdb.ZAdd(ctx, b.keys.Delayed(), redis.Z{Score: float64(b.clock().Add(time.Minute).UnixMilli()), Member: "later"}).Err())
	must(t, b.rdb.Set(ctx, b.keys.Reconciled(), 3, 0).Err())
	b.join("w-1", lease)
	b.join("w-2", lease)
	b.join("w-3", -3*time.Second)
	must(t, b.rdb.ZAdd(ctx, b.keys.Workers(), redis.Z{Score: 0, Member: "w-4"}).Err())
	b.hold("w-1", 1, "c-1", 3*time.Second)
	b.hold("w-2", 2, "c-2", 42*time.Second)
	b.hold("w-2", 99, "c-99", time.Second)
	b.happen("joined", "instance", "w-1")
	b.happen("reaped", "instance", "w-0", "by", "w-1", "messages", "2", "dead", "0")
	b.happen("retried", "instance", "w-1", "order_id", "17", "deliveries", "2", "error", "the warehouse is closed")
	b.bury("5", "rejected", "no such product")
	b.look()
	return b
}

func TestScreen_showsTheQueue(t *testing.T) {
	t.Parallel()
	b := busy(t)
	for _, size := range [][2]int{{80, 24}, {160, 50}} {
		b.resize(size[0], size[1])
		b.shows(
			`^ test_\d+  ● live, 2 workers +\d\d:\d\d:\d\d UTC`,
			`waiting 1,234 +in hand 3 +delayed 1 +dead 1 +put back 3`,
			`of 8 at once +next in (5\d\.\ds|1m00s) +d to look +lost by Redis`,
			`fulfilled +0/s`,
			`all 4, 2 gone +3/8`,
			`w-1 +━+─* +(60\.0|5\d\.\d)s +1/4 +1h00m`,
			`w-3 +lease over +[3-9]\.\ds +0/4`,
			`w-4 +condemned`,
			`2 +4[2-9]\.\ds +processing +w-2 +c-2`,
			`99 +[1-9]\.\ds +no such order +w-2 +c-99`,
			`retried +order 17, delivery 2: the warehouse is closed`,
			`reaped +w-0 by w-1: 2 given back`,
		)
	}
	if oldest, younger := strings.Index(b.text(), " c-2"), strings.Index(b.text(), " c-1"); oldest > younger {
		t.Error("the order that is longest in hand is not listed first")
	}
	b.press("tab", "enter")
	b.shows(`─ order 2 ─`, `in hand of +w-2`, `status +processing`, `correlation id +c-2`, `queuectl trace 2`)
}

// A terminal of 40 columns leaves little; what is most wanted is there.
func TestScreen_showsTheQueueOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	b := busy(t)
	b.resize(40, 24)
	b.shows(`waiting 1,234 +in hand 3`, `dead 1`, `w-1 +━+ +[45]\d\.\ds +1/4`, `2 +4[2-9]\.\ds +processing`, `reaped`, `q quit`)
}

func TestScreen_fitsEveryTerminal(t *testing.T) {
	t.Parallel()
	b := busy(t)
	for name, keys := range map[string][]string{
		"live": nil, "letters": {"d"}, "help": {"?"}, "a worker": {"down", "enter"}, "an event": {"tab", "tab", "enter"}, "a question": {"p"},
	} {
		b.page, b.question, b.focus = livePage, nil, onWorkers
		b.press(keys...)
		for _, height := range sizes(12, low, tall, 50) {
			for _, width := range sizes(24, 40, 56, 60, 70, 80, wide, 200) {
				b.resize(width, height)
				b.fits(name, width, height)
			}
		}
	}
}

// sizes are all that are small, and some others with those one less.
func sizes(small int, others ...int) (all []int) {
	for n := range small {
		all = append(all, n)
	}
	for _, n := range others {
		all = append(all, n-1, n)
	}
	return all
}

func (b *bench) fits(name string, width, height int) {
	b.t.Helper()
	lines := strings.Split(colours.ReplaceAllString(b.View().Content, ""), "\n")
	if len(lines) > max(1, height) {
		b.t.Fatalf("%s has %d lines on a terminal of %dx%d", name, len(lines), width, height)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > width {
			b.t.Fatalf("%s has a line of %d on a terminal of %dx%d: %s", name, n, width, height, line)
		}
	}
}

func TestScreen_runsLeasesDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.join("w-1", lease)
	b.hold("w-1", 7, "c-7", time.Second)
	b.look()
	before := strings.Count(b.line("w-1"), "━")
	if n := strings.Count(b.line("w-1"), "─"); before == 0 || n > 2 {
		t.Errorf("a lease that was just renewed is %q", b.line("w-1"))
	}
	b.Update(tick(b.now.Add(lease / 2)))
	b.shows(`w-1 .* [23]\d\.\ds`, ` 7 +3\d\.\ds`)
	if after := strings.Count(b.line("w-1"), "━"); after == 0 || after >= before {
		t.Errorf("of %d parts of the lease %d are left after half of it", before, after)
	}
	b.Update(tick(b.now.Add(lease)))
	b.shows(`w-1 +lease over +[34]\d\.\ds`)
}

func TestScreen_holdsOnToAWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.join("w-2", lease)
	b.join("w-3", lease)
	b.hold("w-2", 2, "c-2", time.Second)
	b.hold("w-3", 3, "c-3", time.Second)
	b.look()
	b.press("down")
	b.shows(`▶ w-2`, `c-2`)
	b.shuns(`c-3`)
	b.join("w-1", lease) // sorts before it
	b.look()
	b.shows(`▶ w-2`, `c-2`)
	b.press("enter")
	b.shows(`worker w-2`, `state +alive`, `host +box`)
	b.press("tab", "down") // there is nothing to move in
	must(t, b.rdb.ZRem(t.Context(), b.keys.Workers(), "w-2").Err())
	b.look()
	b.shows(`state +gone`)
	b.press("esc")
	b.shows(`▶ all 2`, `c-3`)
}

func TestScreen_listsEventsAsTheyCome(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for n := range 40 {
		b.happen("joined", "instance", fmt.Sprint("w-", n))
	}
	b.look()
	b.press("tab", "tab", "down")
	b.shows(`▶ .*joined +w-38$`)
	b.happen("paused", "by", "operator")
	b.happen("mystery", "a", "1", "b", "2")
	live := firstFrame(t, b.inspector)
	live.Events = live.Events[40:] // the others it has been told
	b.see(live)
	b.shows(`mystery +a 1, b 2`, `paused +by operator`, `▶ .*joined +w-38$`)
	b.press("home", "enter")
	b.shows(`─ mystery ─`, `a +1$`)
}

func TestScreen_pauses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.look()
	paused := func() string { return b.rdb.Get(t.Context(), b.keys.Paused()).Val() }
	b.press("p")
	b.shows(`Pause\? Workers finish what they have in hand`, `y yes +n no`)
	b.press("x", "enter", "n")
	b.shuns(`Pause\?`)
	if by := paused(); by != "" {
		t.Fatalf("it is paused by %q, and nobody said yes", by)
	}
	b.press("p", "y")
	b.shows(`^ paused`)
	if by := paused(); !strings.HasPrefix(by, "operator@desk ") {
		t.Fatalf("it is paused by %q, want operator@desk", by)
	}
	b.look()
	b.shows(`PAUSED +for \d+\.\ds by operator@desk`, `paused +by operator@desk`)
	b.press("p")
	b.shows(`Resume\? `)
	b.press("y")
	b.shows(`^ resumed`)
	if by := paused(); by != "" {
		t.Errorf("it is paused by %q still", by)
	}
}

func TestScreen_requeuesAndDropsTheChosenLetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.bury("1", "exhausted", "the warehouse is closed")
	b.bury("2", "rejected", "no such product")
	b.bury("3", "malformed", "no JSON")
	b.look()
	b.press("d")
	b.shows(`▶ \d\.\ds +malformed +3 +3 +no JSON`, `payload +{"order_id": 3}`)
	b.press("down", "r")
	b.shows(`Requeue order 2 \(rejected\)\?`)
	b.press("y")
	b.shows(`^ requeued order 2 \(rejected\)`, `▶ .*exhausted +1 `)
	if waiting := b.rdb.LRange(ctx, b.keys.Queue(), 0, -1).Val(); len(waiting) != 1 || waiting[0] != `{"order_id": 2}` {
		t.Errorf("the queue holds %q, want the message of order 2", waiting)
	}
	b.press("x")
	b.shows(`Drop order 1 \(exhausted\) for good\?`)
	b.press("y")
	b.shows(`^ dropped order 1`, `▶ .*malformed +3 `)
	if n := b.rdb.XLen(ctx, b.keys.Dead()).Val(); n != 1 {
		t.Errorf("%d dead letters are left, want the one of order 3", n)
	}
	b.press("r") // which somebody else drops meanwhile
	must(t, b.rdb.Del(ctx, b.keys.Dead()).Err())
	b.press("y")
	b.look()
	b.shows(`somebody else was quicker`, `^ +none`)
	b.press("r", "x")
	if b.question != nil {
		t.Error("it asks about a letter that is not there")
	}
}

// What a person chose stays chosen when a letter comes above it.
func TestScreen_holdsOnToALetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.bury("1", "exhausted", "")
	b.bury("2", "rejected", "")
	b.look()
	b.press("d", "down", "r")
	b.bury("3", "invalid", "")
	b.look()
	b.follow(b.readLetters())
	b.shows(`invalid +3 `, `▶ .*exhausted +1 `)
	b.press("y")
	if waiting := b.rdb.LRange(t.Context(), b.keys.Queue(), 0, -1).Val(); len(waiting) != 1 || waiting[0] != `{"order_id": 1}` {
		t.Errorf("the queue holds %q, want the message of order 1", waiting)
	}
}

// away is a Redis that nobody is.
func away(t *testing.T) *redis.Client {
	t.Helper()
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = gone.Close() })
	return gone
}

func TestScreen_saysWhichServerIsAway(t *testing.T) {
	t.Parallel()
	b := busy(t)
	at := b.frame.At
	b.Update(tick(b.now.Add(time.Second)))
	without := inspect.New(away(t), b.db, "q", lease)
	silent := firstFrame(t, without)
	silent.Overview = b.frame.Overview // as a Live repeats it
	b.see(silent)
	b.Update(tick(b.now.Add(12 * time.Second)))
	b.shows(`Redis: no answer since `+at.UTC().Format(time.TimeOnly)+`, for 1[2-9]\.\ds: look into Redis`, `connection\s+refused`, `waiting 1,234`, `w-1 +━+─* +[45]\d\.\ds`)
	b.press("d", "esc")
	b.look()
	b.shuns(`no answer`)

	db, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/orders?sslmode=disable")
	must(t, err)
	t.Cleanup(db.Close)
	b.inspector = inspect.New(b.rdb, db, b.frame.Queue, lease)
	b.look()
	b.shows(`PostgreSQL: no answer for \d\.\ds`, `2 +4\d\.\ds +unknown`, `● live`)
}

func TestScreen_saysThatRedisWasNeverThere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shows(`looking …`)
	b.see(firstFrame(t, inspect.New(away(t), b.db, "q", lease)))
	b.shows(`no answer`, `Redis: no answer, for \d\.\ds: `, `connection\s+refused`, `q quit`)
}

func TestScreen_saysWhatFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.look()
	b.operator = queue.NewOperator(away(t), "q", "operator")
	b.press("p", "y")
	b.shows(`^ failed, and may or may not be done: `, `connection\s+refused`)
	b.Update(tick(b.now.Add(time.Minute)))
	b.shuns(`failed`)
}

// The first q after a yes waits for what was begun.
func TestScreen_quitsAfterWhatItDoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.look()
	b.press("p")
	act := b.Screen.press("y")
	if cmd := b.Screen.press("q"); cmd != nil {
		t.Fatal("it quits while it pauses")
	}
	_, cmd := b.Update(act())
	if cmd == nil || cmd() != tea.Quit() {
		t.Error("it does not quit once it has paused")
	}
	if cmd := newBench(t).Screen.press("q"); cmd == nil || cmd() != tea.Quit() {
		t.Error("it does not quit")
	}
}

func TestScreen_obeysNoMessage(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\x1b[2J\r\n\t\u202etxet\u200b\u009b31m\xff"
	b := newBench(t)
	b.insert(1, order.Status("e\x1b[31mvil"))
	b.join("w-1", lease)
	must(t, b.rdb.HSet(t.Context(), b.keys.Worker("w-1"), "host", evil, "version", evil).Err())
	b.hold("w-1", 1, evil, time.Second)
	b.happen(evil, evil, evil)
	b.happen("dead", "order_id", evil, "reason", evil, "error", evil)
	b.bury("7", evil, evil)
	must(t, b.rdb.Set(t.Context(), b.keys.Paused(), evil+" "+evil, 0).Err())
	b.resize(200, 50)
	b.look()
	for _, keys := range [][]string{nil, {"down", "enter"}, {"esc", "tab", "enter"}, {"esc", "tab", "enter"}, {"esc", "down", "enter"}, {"esc", "d"}, {"r"}, {"n", "p"}} {
		b.press(keys...)
		if strings.ContainsFunc(b.text(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("after %q the screen holds what a terminal would obey: %q", keys, b.text())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
