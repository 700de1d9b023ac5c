package model

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestProtocol_isWhatTheWorkerDoes makes the steps of the model with the worker's own
// scripts on a real Redis, and its own statements on a real PostgreSQL. Both must stand
// alike after each: on the shortest way to each outcome that a step may have in any
// theme, and on walks at random.
//
// Claim and Finish resolve a lost answer by themselves, within one call; that is tested
// where they are. Here the answers of Redis are lost: nobody looks at them.
func TestProtocol_isWhatTheWorkerDoes(t *testing.T) {
	t.Parallel()
	w := newTwin(t)
	seen := map[outcome]bool{}
	for _, name := range slices.Sorted(maps.Keys(themes)) {
		theme := themes[name]
		first := theme.First()
		g, _ := Explore(first, theme.realNext, func(_, _ State) string { return "" })
		for n, from := range g.States {
			for _, e := range g.edges[n] {
				if o := outcomeOf(from, g.States[e.to], e.by); !seen[o] {
					seen[o] = true
					way := g.way("", int32(n))
					w.walk(&theme, append(way.Steps, e.by))
				}
			}
		}
	}
	t.Logf("%d outcomes", len(seen))

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range 10 {
		theme := Config{
			Orders: "ab", Processes: 2, Slots: 1 + n%2, Max: 2, Refused: strings.Repeat("b", n/2%2),
			May: Faults{
				Crashes: 2, Freezes: 2, Lost: 3, Late: 2, Stops: 2, Failures: 3, Copies: 1, Requeues: 1, Producers: 1, Flushes: 1, Rollbacks: 1,
			},
		}
		w.walk(&theme, theme.stroll(random, 60))
	}
}

// outcome is what a step does, as far as another one of its kind may do something else.
type outcome struct {
	kind         string
	lost         bool
	hand         [2]Phase
	lease        [2]Lease
	row          [2]Status
	behind       bool // others wait in the queue
	fresh, heir  bool
	leased, died bool
	queue, list  int // by how many they grow
	marks, given int
	charged      int
	dead         int
}

func outcomeOf(from, to State, step Step) outcome {
	o := outcome{kind: steps[step.Kind].does, lost: step.Lost, behind: from.Redis.Queue.len() > 0}
	for n, s := range []State{from, to} {
		i := int(step.Actor) % maxWorkers
		if steps[step.Kind].of == byDelivery {
			i = int(step.Actor) / maxSlots
			m := from.Workers[i].Hand[int(step.Actor)%maxSlots].Message
			o.hand[n] = s.Workers[i].Hand[int(step.Actor)%maxSlots].At
			o.row[n] = s.Rows[m.order()].Status
			switch d := from.Workers[i].Hand[int(step.Actor)%maxSlots]; o.kind {
			case "start:":
				o.fresh, o.heir, o.died = d.Fresh, d.Heir, from.Redis.Died.has(m.bit())
			case "ack:":
				o.fresh, o.leased = d.Fresh, from.Workers[i].Leased
			}
		}
		at, sign := s.Redis.Workers[i], 2*n-1
		o.lease[n] = at.Lease
		o.queue += sign * s.Redis.Queue.len()
		o.list += sign * at.Processing.len()
		o.marks += sign * len(s.Redis.Returned.String())
		o.given += sign * len(at.Given.String())
		o.dead += sign * s.Redis.Dead.len()
		for _, n := range s.Redis.Deliveries {
			o.charged += sign * int(n)
		}
	}
	return o
}

// unreal are the steps that no script or statement makes: the broken halves of one that
// does, and an answer that is lost before anything happened.
var unreal = []string{"join, late: worker", "see that the lease is over: worker", "NOTHING HEARD of a claim of the row:"}

// A step that nobody walks would be tied to nothing.
func TestProtocol_everyStepIsReal(t *testing.T) {
	for _, step := range steps {
		if real := reality[step.does] != nil; real == slices.Contains(unreal, step.does) {
			t.Errorf("%q is real, and is not: %v", step.does, real)
		}
	}
	if len(reality) != len(steps)-len(unreal) {
		t.Errorf("%d of %d steps are real, want all but %d", len(reality), len(steps), len(unreal))
	}
}

// realNext is Next without what is not real yet, and with each call as one step.
func (c *Config) realNext(s State, visit func(Step, State)) {
	c.Next(s, func(step Step, after State) {
		does := steps[step.Kind].does
		if _, ok := reality[does]; ok && (!step.Lost || !outsideRedis[does]) {
			visit(step, c.whole(step, after))
		}
	})
}

// whole goes on with a call of Claim to its end.
func (c *Config) whole(step Step, after State) State {
	n := int(step.Actor)
	w := &world{Config: c, State: after}
	for outsideRedis[steps[step.Kind].does] {
		if w.Workers[n/maxSlots].Hand[n%maxSlots].At != outrun {
			return w.State
		}
		w.claimRow(n)
	}
	return after
}

// stroll is a walk of so many steps, one in eight of them a fault if one is possible.
func (c *Config) stroll(random *rand.Rand, length int) (way []Step) {
	s := c.First()
	for range length {
		var next [2][]struct {
			Step
			State
		}
		c.realNext(s, func(step Step, after State) {
			kind := 0
			if step.Fault() {
				kind = 1
			}
			next[kind] = append(next[kind], struct {
				Step
				State
			}{step, after})
		})
		choice := next[0]
		if len(choice) == 0 || len(next[1]) > 0 && random.IntN(8) == 0 {
			choice = next[1]
		}
		if len(choice) == 0 {
			break
		}
		taken := choice[random.IntN(len(choice))]
		way, s = append(way, taken.Step), taken.State
	}
	return way
}

// twin is a state of the model and its likeness on real servers.
type twin struct {
	*testing.T
	*Config
	State

	rdb     *redis.Client
	keys    queue.Keys
	admin   *pgxpool.Pool
	patient *db.Orders // for whom no row is old
	hasty   *db.Orders // for whom every row is

	ids      [maxOrders]int64
	names    [maxWorkers]string // of the instances, "" where nothing is left of one
	joined   int
	tokens   [maxWorkers * maxSlots]db.Token
	versions [maxWorkers * maxSlots]string // in which they saw an order in another hand
	saved    map[string]string             // what Redis falls back to
}

func newTwin(t *testing.T) *twin {
	url, name := testenv.Redis(t)
	database := testenv.Database(t)
	return &twin{
		T:   t,
		rdb: testenv.RedisClient(t, url), keys: queue.NewKeys(name),
		admin:   testenv.Pool(t, database),
		patient: openOrders(t, testenv.WorkerURL(database), time.Hour),
		hasty:   openOrders(t, testenv.WorkerURL(database), 0),
	}
}

// begin makes the theme's first state, with other orders.
func (w *twin) begin(theme *Config) {
	w.Config, w.State, w.names = theme, theme.First(), [maxWorkers]string{}
	w.restore(nil)
	for o, r := range w.Rows {
		if r.Status == pending {
			w.insert(w.State, o)
		}
		if r.Sent > 0 {
			w.push(w.State, o)
		}
	}
	for i, p := range w.Workers {
		if p.Is == running {
			w.join(w.State, i)
		}
	}
}

func openOrders(t *testing.T, url string, abandoned time.Duration) *db.Orders {
	cfg, err := pgxpool.ParseConfig(url)
	must(t, err)
	cfg.MaxConns = 1
	orders, err := db.New(cfg, abandoned, logger.New(io.Discard, "test", slog.LevelError))
	must(t, err)
	t.Cleanup(orders.Close)
	return orders
}

// walk makes the steps in the model and in reality, and compares after each.
func (w *twin) walk(theme *Config, way []Step) {
	w.begin(theme)
	var told strings.Builder
	for _, step := range way {
		before, next := w.State, &world{Config: w.Config}
		if !next.make(before, step) {
			w.Fatalf("%s: not now, after\n%s", w.Tell(step, before), &told)
		}
		w.State = w.whole(step, next.State)
		fmt.Fprintln(&told, w.Tell(step, before))
		reality[steps[step.Kind].does](w, before, int(step.Actor))
		for i := range w.names {
			if w.Workers[i] == (Worker{}) && w.untraced(i) {
				w.names[i] = ""
			}
		}
		if w.compare(); w.Failed() {
			w.Fatalf("after\n%s\nin the model: %v", &told, w.State)
		}
	}
	if w.tryInVain(); w.Failed() {
		w.Fatalf("after\n%s\nin the model: %v", &told, w.State)
	}
}

// tryInVain runs the scripts that look before they act where the model says that they
// must not act.
func (w *twin) tryInVain() {
	for i, name := range w.names {
		if name == "" {
			continue
		}
		at := w.Redis.Workers[i]
		if at.Lease == good || at.Lease == none {
			w.want("reap: it lives", w.script("reap", i, args{"limit": 1})[0] < 0, true)
		}
		if at.Lease != none || at == (Instance{}) {
			w.want("orphan: it is none", w.script("orphan", i, nil)[0] == 0, true)
		}
	}
	w.compare()
}

func (w *twin) untraced(i int) bool {
	return (&world{State: w.State, Config: w.Config}).untraced(i)
}

// outsideRedis are the calls whose answers are not lost here.
var outsideRedis = map[string]bool{"claim the row:": true, "take the row over:": true, "finish the row:": true}

// nothing is what happens to the servers in a step that only concerns a process, or time.
func nothing(*twin, State, int) {}

// reality is how each step is made on the servers. It gets the state before.
var reality = map[string]func(*twin, State, int){
	"the producer inserts order":            (*twin).insert,
	"the producer queues order":             (*twin).push,
	"COPY: the producer queues again order": (*twin).push,

	"join: worker": (*twin).join,
	"beat: worker": func(w *twin, before State, i int) {
		lost := w.Workers[i].Is == ending && before.Workers[i].Is == running
		w.want("beat", w.script("beat", i, nil)[0] < 0, lost)
	},
	"claim: worker":        (*twin).claim,
	"LATE claim of worker": (*twin).claim,
	"audit: worker": func(w *twin, before State, i int) {
		list, left := before.Redis.Workers[i].Processing, w.Redis.Workers[i].Processing
		for _, m := range []Message(list.String()) {
			if list.count(m) > left.count(m) {
				w.script("release", i, args{"payload": payload(m)})
				list.remove(m)
			}
		}
	},

	"claim the row:": func(w *twin, before State, n int) { w.claimRow(before, n, "") },
	"look for the mark:": func(w *twin, before State, n int) {
		m := before.Workers[n/maxSlots].Hand[n%maxSlots].Message
		answer := w.script("returned", n/maxSlots, w.about(m))[0]
		refused := w.Workers[n/maxSlots].Hand[n%maxSlots] == Delivery{}
		w.want("returned: the lease is lost", answer < 0, refused)
		w.want("returned: the mark", answer == 1, !refused && before.Redis.Returned.has(m.bit()))
	},
	"take the row over:": func(w *twin, before State, n int) { w.claimRow(before, n, w.versions[n]) },
	"start:": func(w *twin, before State, n int) {
		was := &world{State: before, Config: w.Config}
		d := was.hand(n)
		if d.Fresh && !d.Heir && before.Workers[d.worker].Leased {
			return
		}
		with := w.about(d.Message)
		if d.Heir {
			with["heir"] = 1
		}
		answer := w.script("start", n/maxSlots, with)
		refused := w.Workers[n/maxSlots].Hand[n%maxSlots] == Delivery{}
		w.want("start: the lease is lost", answer[0] < 0, refused)
		if !refused {
			w.want("start: the last delivery is over", answer[0] >= int64(w.Max), was.charge(d) >= w.Max)
		}
	},
	"the work succeeds:": nothing,
	"THE WORK FAILS:":    nothing,
	"the work refuses:":  nothing,
	"finish the row:": func(w *twin, before State, n int) {
		o := before.Workers[n/maxSlots].Hand[n%maxSlots].Message.order()
		err := w.patient.Finish(w.Context(), w.ids[o], w.tokens[n])
		w.want("Finish", err == nil, w.Rows[o].Finished > before.Rows[o].Finished)
		w.want("Finish: superseded", errors.Is(err, order.ErrSuperseded), w.phase(n) == waiting)
	},
	"ack:": func(w *twin, before State, n int) {
		was := &world{State: before, Config: w.Config}
		if d := was.hand(n); was.plainly(d) {
			must(w, w.rdb.LRem(w.Context(), w.keys.Processing(w.names[d.worker]), -1, payload(d.Message)).Err())
			return
		}
		settle("ack")(w, before, n)
	},
	"put off:":     settle("putoff"),
	"retry:":       settle("retry"),
	"dead letter:": settle("dead"),
	"give up:":     nothing,
	"due: message": func(w *twin, _ State, n int) {
		must(w, w.rdb.ZAddXX(w.Context(), w.keys.Delayed(), redis.Z{Score: 1, Member: payload(messages[n])}).Err())
		w.script("due", 0, args{"limit": 1})
	},
	"leave: worker": func(w *twin, _ State, i int) { w.script("leave", i, args{"limit": 5000}) },

	"reap: worker":           func(w *twin, _ State, i int) { w.script("reap", i, args{"limit": 1}) },
	"find an orphan: worker": func(w *twin, _ State, i int) { w.script("orphan", i, nil) },

	"A PERSON REQUEUES message": func(w *twin, _ State, n int) {
		w.script("requeue", 0, args{"by": "p", "id": w.letter(messages[n])})
	},

	"survey: there is no message of order": nothing,
	"reconcile: message": func(w *twin, before State, k int) {
		if m := before.Surveys[k]; w.Redis.Queue.count(m) > before.Redis.Queue.count(m) {
			w.script("putback", 0, args{"messages": `["` + payload(m) + `"]`, "orders": w.ids[m.order()], "by": "r"})
		}
	},

	"time: the lease runs out of worker":      (*twin).expire,
	"FREEZE of worker":                        (*twin).expire,
	"time: nobody has touched order":          nothing,
	"FREEZE of all who have order":            nothing,
	"CRASH of worker":                         nothing,
	"the work kills its worker:":              nothing,
	"SIGTERM for worker":                      nothing,
	"NO ANSWER YET to a claim of worker":      nothing,
	"Redis drops the blocked claim of worker": nothing,
	"DEATH of the producer of order":          nothing,

	"FLUSHALL": func(w *twin, _ State, _ int) { w.restore(nil) },
	"Redis's last save is now": func(w *twin, _ State, _ int) {
		w.saved = map[string]string{}
		for _, key := range w.all() {
			dump, err := w.rdb.Dump(w.Context(), key).Result()
			must(w, err)
			w.saved[key] = dump
		}
	},
	"REDIS FORGETS its last writes": func(w *twin, _ State, _ int) { w.restore(w.saved) },
}

func (w *twin) insert(_ State, o int) {
	must(w, w.admin.QueryRow(w.Context(), `INSERT INTO orders (product_id, quantity) VALUES (1, 1) RETURNING id`).Scan(&w.ids[o]))
}

func (w *twin) join(_ State, i int) {
	w.joined++
	w.names[i] = fmt.Sprintf("w-%d", w.joined)
	w.script("join", i, nil)
}

func (w *twin) push(_ State, o int) {
	must(w, w.rdb.LPush(w.Context(), w.keys.Queue(), payload(original(o))).Err())
}

func (w *twin) claimRow(before State, n int, version string) {
	o := before.Workers[n/maxSlots].Hand[n%maxSlots].Message.order()
	orders := w.patient
	if before.Rows[o].Old {
		orders = w.hasty
	}
	token, err := orders.Claim(w.Context(), w.ids[o], version)
	var inHand *order.InHandError
	at := w.phase(n)
	w.want("Claim", err == nil, at == claimed)
	w.want("Claim: in hand", errors.As(err, &inHand), at == looking || at == waiting)
	w.want("Claim: and for long", inHand != nil && inHand.RetryIn <= 0, inHand != nil && before.Rows[o].Old)
	w.want("Claim: fulfilled", errors.Is(err, order.ErrFulfilled), at == done)
	w.tokens[n] = token
	if inHand != nil {
		w.versions[n] = inHand.Version
	}
}

// letter is the id of the newest dead letter that holds the message.
func (w *twin) letter(m Message) string {
	dead, err := w.rdb.XRevRange(w.Context(), w.keys.Dead(), "+", "-").Result()
	must(w, err)
	for _, letter := range dead {
		if letter.Values["payload"] == payload(m) {
			return letter.ID
		}
	}
	w.Fatalf("there is no dead letter of %c", m)
	return ""
}

func (w *twin) claim(_ State, i int) { w.script("claim", i, args{"limit": 1}) }

func (w *twin) expire(_ State, i int) {
	must(w, w.rdb.ZAddXX(w.Context(), w.keys.Workers(), redis.Z{Score: 1, Member: w.names[i]}).Err())
}

func settle(script string) func(*twin, State, int) {
	return func(w *twin, before State, n int) {
		d := before.Workers[n/maxSlots].Hand[n%maxSlots]
		w.script(script, n/maxSlots, w.about(d.Message))
	}
}

func (w *twin) phase(n int) Phase { return w.Workers[n/maxSlots].Hand[n%maxSlots].At }

// args are a script's arguments by the names that its header gives them.
type args map[string]any

func payload(m Message) string { return "message " + string(m) }

func (w *twin) about(m Message) args {
	return args{"payload": payload(m), "digest": queue.Digest([]byte(payload(m))), "order_id": w.ids[m.order()]}
}

var parameter = regexp.MustCompile(`(?m)^-- (KEYS|ARGV)\[[^\]]+\] +([a-z_]+) `)

// script runs one of the worker's scripts for an instance and returns the numbers in its
// answer.
func (w *twin) script(name string, i int, with args) (numbers []int64) {
	source, err := os.ReadFile("../queue/lua/" + name + ".lua")
	must(w, err)
	hour := time.Hour.Milliseconds()
	given := args{
		"instance": w.names[i], "owner": w.names[i], "lease": hour, "max": int(w.Max), "reaper": "r", "longest": 1000,
		"host": "h", "pid": 1, "version": "v", "concurrency": w.Slots, "correlation_id": "c", "reason": "r", "error": "e",
		"tally": "{}", "heir": 0, "share": 1000, "delay": hour, "first": hour, "least": 0, "jitter": 1,
	}
	if name == "retry" {
		given["longest"] = hour
	}
	for k, v := range with {
		given[k] = v
	}
	places := map[string]string{
		"queue": w.keys.Queue(), "workers": w.keys.Workers(), "worker": w.keys.Worker(w.names[i]),
		"processing": w.keys.Processing(w.names[i]), "delayed": w.keys.Delayed(), "deliveries": w.keys.Deliveries(),
		"returned": w.keys.Returned(), "dead": w.keys.Dead(), "events": w.keys.Events(),
		"reconciled": w.keys.Reconciled(),
	}
	var keys []string
	var argv []any
	for _, p := range parameter.FindAllStringSubmatch(string(source), -1) {
		key, known := places[p[2]]
		arg, also := given[p[2]]
		switch {
		case p[1] == "KEYS" && known:
			keys = append(keys, key)
		case p[1] == "ARGV" && also:
			argv = append(argv, arg)
		default:
			w.Fatalf("%s.lua wants %s, and nobody knows it", name, p[2])
		}
	}
	answer, err := w.rdb.Eval(w.Context(), string(source), keys, argv...).Result()
	must(w, err)
	all, ok := answer.([]any)
	if !ok {
		all = []any{answer}
	}
	for _, one := range all {
		if n, ok := one.(int64); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// all are the keys that the queue has, but for the events, which nobody acts upon.
func (w *twin) all() []string {
	keys, err := w.rdb.Keys(w.Context(), w.keys.Pattern()).Result()
	must(w, err)
	if w.rdb.Exists(w.Context(), w.keys.Queue()).Val() == 1 {
		keys = append(keys, w.keys.Queue())
	}
	return slices.DeleteFunc(keys, func(k string) bool { return k == w.keys.Events() })
}

func (w *twin) restore(saved map[string]string) {
	if now := w.all(); len(now) > 0 {
		must(w, w.rdb.Del(w.Context(), now...).Err())
	}
	for key, dump := range saved {
		must(w, w.rdb.Restore(w.Context(), key, 0, dump).Err())
	}
}

// want fails if an answer is not what the model foresees.
func (w *twin) want(what string, got, want bool) {
	w.Helper()
	if got != want {
		w.Errorf("%s: reality says %v, the model %v", what, got, want)
	}
}

// compare fails if the servers do not stand as the model says.
func (w *twin) compare() {
	w.Helper()
	if got := w.redis(); got != w.Redis {
		w.Errorf("Redis stands otherwise:\n%v, in the model\n%v", State{Redis: got}, State{Redis: w.Redis})
	}
	for o, r := range w.Rows {
		if r.Status == absent {
			continue
		}
		var status, version string
		must(w, w.admin.QueryRow(w.Context(), `SELECT status, xmin::text FROM orders WHERE id = $1`, w.ids[o]).Scan(&status, &version))
		if status != r.Status.String() {
			w.Errorf("order %c is %s, in the model %v", original(o), status, r.Status)
		}
		for n, token := range w.tokens {
			d := w.Workers[n/maxSlots].Hand[n%maxSlots]
			if d.Message != 0 && d.Message.order() == o && slices.Contains([]Phase{claimed, working, worked}, d.At) {
				w.want("the token of "+string(d.Message)+" is good", string(token) == version, r.Known.has(1<<n))
			}
		}
	}
}

// redis reads what Redis holds, as the model says it.
func (w *twin) redis() (r Redis) {
	ctx := w.Context()
	list := func(key string) (l List) {
		all, err := w.rdb.LRange(ctx, key, 0, -1).Result()
		must(w, err)
		l.set(letters(all))
		return l
	}
	r.Queue = list(w.keys.Queue())
	now, err := w.rdb.Time(ctx).Result()
	must(w, err)
	leases, err := w.rdb.ZRangeWithScores(ctx, w.keys.Workers(), 0, -1).Result()
	must(w, err)
	for _, z := range leases {
		i := w.place(z.Member.(string))
		switch deadline := time.UnixMilli(int64(z.Score)); {
		case z.Score == 0:
			r.Workers[i].Lease = condemned
		case deadline.After(now):
			r.Workers[i].Lease = good
		default:
			r.Workers[i].Lease = over
		}
	}
	for _, key := range w.all() {
		if name, ok := strings.CutPrefix(key, w.keys.Processing("")); ok {
			r.Workers[w.place(name)].Processing = list(key)
		}
		if name, ok := strings.CutPrefix(key, w.keys.Worker("")); ok {
			fields, err := w.rdb.HKeys(ctx, key).Result()
			must(w, err)
			r.Workers[w.place(name)].Given = digests(fields)
		}
	}
	waiting, err := w.rdb.ZRange(ctx, w.keys.Delayed(), 0, -1).Result()
	must(w, err)
	for _, m := range letters(waiting) {
		r.Delayed |= Message(m).bit()
	}
	marks, err := w.rdb.HGetAll(ctx, w.keys.Returned()).Result()
	must(w, err)
	r.Returned = digests(slices.Collect(maps.Keys(marks)))
	maps.DeleteFunc(marks, func(_, how string) bool { return !strings.HasPrefix(how, "died ") })
	r.Died = digests(slices.Collect(maps.Keys(marks)))
	for _, m := range messages {
		n, err := w.rdb.HGet(ctx, w.keys.Deliveries(), queue.Digest([]byte(payload(m)))).Int()
		if !errors.Is(err, redis.Nil) {
			must(w, err)
		}
		r.Deliveries[m.index()] = uint8(n)
	}
	dead, err := w.rdb.XRange(ctx, w.keys.Dead(), "-", "+").Result()
	must(w, err)
	for _, letter := range dead {
		r.Dead.pushRight(Message(letters([]string{letter.Values["payload"].(string)})[0]))
	}
	return r
}

// place is where the model keeps an instance.
func (w *twin) place(name string) int {
	i := slices.Index(w.names[:], name)
	if i < 0 {
		w.Fatalf("the instance %s has left traces, and the model knows of none", name)
	}
	return i
}

// letters are the messages of payloads, in that order.
func letters(payloads []string) (text string) {
	for _, p := range payloads {
		text += strings.TrimPrefix(p, "message ")
	}
	return text
}

// digests are the messages that are named by digests, with or without "given:" before.
func digests(names []string) (s Set) {
	for _, m := range messages {
		digest := queue.Digest([]byte(payload(m)))
		if slices.Contains(names, digest) || slices.Contains(names, "given:"+digest) {
			s |= m.bit()
		}
	}
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
