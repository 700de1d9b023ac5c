package db_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

const abandoned = time.Hour

// bench is a database of the test's own, as the superuser sees it, and the orders
// table as the worker's role does.
type bench struct {
	*testing.T
	url    string // the superuser's
	admin  *pgxpool.Pool
	orders *db.Orders
}

// bounded is a context that ends before go test does: a call that waits out what is no
// outage fails its test.
func (b *bench) bounded() context.Context {
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	b.Cleanup(cancel)
	return ctx
}

func newBench(t *testing.T) *bench {
	t.Parallel()
	url := testenv.Database(t)
	return &bench{T: t, url: url, admin: testenv.Pool(t, url), orders: openAt(t, testenv.WorkerURL(url), 2)}
}

func openAt(t *testing.T, url string, conns int32) *db.Orders {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	must(t, err)
	cfg.MaxConns = conns
	orders, err := db.New(cfg, abandoned, logger.New(io.Discard, "test", slog.LevelError))
	must(t, err)
	t.Cleanup(orders.Close)
	reach, cancel := context.WithTimeout(t.Context(), 30*time.Second) // no server is away
	defer cancel()
	must(t, orders.Reach(reach))
	ctx, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { _ = orders.Watch(ctx) })
	t.Cleanup(func() {
		stop()
		watch.Wait()
	})
	return orders
}

// insert makes an order in that state, unchanged for that long.
func (b *bench) insert(status string, age time.Duration) (id int64) {
	b.Helper()
	must(b, b.admin.QueryRow(b.Context(), `
		INSERT INTO orders (product_id, quantity, status, updated_at)
		VALUES (1, 1, $1, now() - $2::interval) RETURNING id`, status, age).Scan(&id))
	return id
}

func (b *bench) status(id int64) (status string) {
	b.Helper()
	must(b, b.admin.QueryRow(b.Context(), `SELECT status FROM orders WHERE id = $1`, id).Scan(&status))
	return status
}

// version is the row's xmin, or "" if there is no such row.
func (b *bench) version(id int64) (version string) {
	b.Helper()
	must(b, b.admin.QueryRow(b.Context(), `SELECT coalesce((SELECT xmin::text FROM orders WHERE id = $1), '')`, id).Scan(&version))
	return version
}

func TestClaim(t *testing.T) {
	inHand, isAbandoned := errors.New("in hand"), errors.New("abandoned")
	tests := []struct {
		name     string
		status   string // "" for no row
		age      time.Duration
		takeOver bool
		want     error
	}{
		{"a pending order is claimed", "pending", 0, false, nil},
		{"a pending order is claimed by who may take over, too", "pending", 0, true, nil},
		{"an order in somebody's hand is left there", "processing", 0, false, inHand},
		{"an order in a former holder's hand is taken over", "processing", 0, true, nil},
		{"an order that nobody touched for long may be taken over", "processing", abandoned + time.Minute, false, isAbandoned},
		{"an order that nobody touched for nearly as long may not", "processing", abandoned - time.Minute, false, inHand},
		{"a fulfilled order stays fulfilled", "fulfilled", 0, true, order.ErrFulfilled},
		{"a state of somebody else's is left alone", "cancelled", 2 * abandoned, true, order.ErrForeign},
		{"no such order", "", 0, true, order.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			id := int64(99)
			if tt.status != "" {
				id = b.insert(tt.status, tt.age)
			}
			version := ""
			if tt.takeOver {
				version = b.version(id)
			}
			token, err := b.orders.Claim(t.Context(), id, version)
			var hand *order.InHandError
			switch {
			case errors.Is(tt.want, inHand):
				if !errors.As(err, &hand) || hand.RetryIn <= 0 || hand.RetryIn > abandoned {
					t.Errorf("got %v, want an InHandError with a wait", err)
				}
			case errors.Is(tt.want, isAbandoned):
				if !errors.As(err, &hand) || hand.RetryIn > 0 {
					t.Errorf("got %v, want an InHandError without a wait", err)
				}
			case !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if (err == nil) != (token != "") {
				t.Errorf("token %q with error %v", token, err)
			}
			if want := map[bool]string{true: "processing", false: tt.status}[err == nil]; tt.status != "" && b.status(id) != want {
				t.Errorf("the order is %s, want %s", b.status(id), want)
			}
		})
	}
}

func TestClaim_ofTimestampsWithoutZone(t *testing.T) {
	b := newBench(t)
	_, err := b.admin.Exec(t.Context(), `
		ALTER TABLE orders ALTER updated_at TYPE timestamp USING updated_at AT TIME ZONE 'UTC', ALTER updated_at DROP NOT NULL`)
	must(t, err)
	_, err = b.admin.Exec(t.Context(), `SET timezone = 'Asia/Tokyo'`)
	must(t, err)
	var young, dateless int64
	must(t, b.admin.QueryRow(t.Context(), `INSERT INTO orders (product_id, quantity, status, updated_at)
		VALUES (1, 1, 'processing', now() AT TIME ZONE 'UTC') RETURNING id`).Scan(&young))
	must(t, b.admin.QueryRow(t.Context(), `INSERT INTO orders (product_id, quantity, status, updated_at)
		VALUES (1, 1, 'processing', NULL) RETURNING id`).Scan(&dateless))
	var hand *order.InHandError
	if _, err := b.orders.Claim(t.Context(), young, ""); !errors.As(err, &hand) || hand.RetryIn <= 0 {
		t.Errorf("a young order: got %v, want an InHandError with a wait", err)
	}
	if _, err := b.orders.Claim(t.Context(), dateless, ""); !errors.As(err, &hand) || hand.RetryIn > 0 {
		t.Errorf("an order without a date: got %v, want an InHandError without a wait", err)
	}
}

func TestClaim_racesHaveOneWinner(t *testing.T) {
	tests := []struct {
		name, status string
	}{
		{"for a pending order", "pending"},
		{"for an order that nobody touched for long", "processing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			rival := openAt(t, testenv.WorkerURL(b.url), 2)
			for range 50 {
				id, version := b.insert(tt.status, 2*abandoned), ""
				if tt.status == "processing" {
					version = b.version(id)
				}
				results := make(chan error, 2)
				for _, o := range []*db.Orders{b.orders, rival} {
					go func() {
						_, err := o.Claim(t.Context(), id, version)
						results <- err
					}()
				}
				won := 0
				for range 2 {
					if <-results == nil {
						won++
					}
				}
				if won != 1 {
					t.Fatalf("%d of 2 claims won order %d, want 1", won, id)
				}
			}
			testenv.CheckContract(t, b.url)
		})
	}
}

// What was seen before a look elsewhere may be taken over after it; what has changed
// since may not.
func TestClaim_takesOverOnlyWhatItSaw(t *testing.T) {
	b := newBench(t)
	id := b.insert("processing", 0)
	var seen, since *order.InHandError
	if _, err := b.orders.Claim(b.bounded(), id, ""); !errors.As(err, &seen) || seen.Ours {
		t.Fatalf("got %v, want an InHandError of somebody else's", err)
	}
	successor, err := b.orders.Claim(b.bounded(), id, seen.Version)
	must(t, err)
	if _, err := b.orders.Claim(b.bounded(), id, seen.Version); !errors.As(err, &since) || since.Version != string(successor) {
		t.Errorf("got %v, want an InHandError with the successor's version", err)
	}
	must(t, b.orders.Finish(b.bounded(), id, successor))
	testenv.CheckContract(t, b.url)
}

func TestFinish(t *testing.T) {
	tests := []struct {
		name      string
		meanwhile func(b *bench, id int64) // between claim and finish
		want      error
		status    string
	}{
		{"the holder fulfils it", func(*bench, int64) {}, nil, "fulfilled"},
		{"who was superseded changes nothing", func(b *bench, id int64) {
			_, err := b.orders.Claim(b.bounded(), id, b.version(id))
			must(b, err)
		}, order.ErrSuperseded, "processing"},
		{"who was superseded learns that it is fulfilled", func(b *bench, id int64) {
			token, err := b.orders.Claim(b.bounded(), id, b.version(id))
			must(b, err)
			must(b, b.orders.Finish(b.bounded(), id, token))
		}, order.ErrFulfilled, "fulfilled"},
		{"a row that somebody touched is not finished on the old token", func(b *bench, id int64) {
			_, err := b.admin.Exec(b.bounded(), `UPDATE orders SET quantity = 2 WHERE id = $1`, id)
			must(b, err)
		}, order.ErrSuperseded, "processing"},
		{"a row that is gone", func(b *bench, id int64) {
			_, err := b.admin.Exec(b.bounded(), `DELETE FROM orders WHERE id = $1`, id)
			must(b, err)
		}, order.ErrUnknown, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			id := b.insert("pending", 0)
			token, err := b.orders.Claim(b.bounded(), id, "")
			must(t, err)
			tt.meanwhile(b, id)
			if err := b.orders.Finish(b.bounded(), id, token); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.status != "" && b.status(id) != tt.status {
				t.Errorf("the order is %s, want %s", b.status(id), tt.status)
			}
			testenv.CheckContract(t, b.url)
		})
	}
}

func TestFinish_runsAfterShutdownHasBegun(t *testing.T) {
	b := newBench(t)
	id := b.insert("pending", 0)
	token, err := b.orders.Claim(t.Context(), id, "")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, b.orders.Finish(ctx, id, token))
	if got := b.status(id); got != "fulfilled" {
		t.Errorf("the order is %s", got)
	}
}

// throughProxy is the orders table behind a proxy, with statements that the proxy can
// read.
func (b *bench) throughProxy(t *testing.T) (*db.Orders, *testenv.Proxy) {
	t.Helper()
	u, err := url.Parse(testenv.WorkerURL(b.url))
	must(t, err)
	proxy := testenv.NewProxy(t, u.Host)
	u.Host = proxy.Addr()
	query := u.Query()
	query.Set("default_query_exec_mode", "exec")
	u.RawQuery = query.Encode()
	return openAt(t, u.String(), 10), proxy
}

// claimAs claims an order for its heir, who may take it over as he finds it, or for
// anybody else. A claim that had no answer is one's own in either case.
func claimAs(b *bench, orders *db.Orders, id int64, heir bool) (db.Token, error) {
	token, err := orders.Claim(b.bounded(), id, "")
	var inHand *order.InHandError
	for errors.As(err, &inHand) && (heir || inHand.Ours) {
		heir = false
		token, err = orders.Claim(b.bounded(), id, inHand.Version)
	}
	return token, err
}

// ways are how a request or its answer may be lost.
var ways = []struct {
	name string
	lose func(p *testenv.Proxy, n int, statement string)
}{
	{"the answer is lost", func(p *testenv.Proxy, n int, statement string) { p.LoseReplies(n, statement, nil) }},
	{"the answer is lost to a reset", func(p *testenv.Proxy, n int, statement string) {
		p.ResetOnLoss()
		p.LoseReplies(n, statement, nil)
	}},
	{"the answer is torn", func(p *testenv.Proxy, n int, statement string) { p.TearReplies(n, 7, statement, nil) }},
	{"the request is lost", func(p *testenv.Proxy, n int, statement string) { p.LoseRequests(n, statement) }},
}

// Answers to each statement are lost, and requests: what was carried out must be found
// out, and must not be taken for a refusal or done twice.
func TestOrders_answersAreLost(t *testing.T) {
	tests := []struct {
		name, statement string
		status          string // of the orders
	}{
		{"claim", "OR status = 'processing' AND", "pending"},
		{"look at the row", "extract(epoch FROM", "processing"},
		{"take-over", "OR status = 'processing' AND", "processing"},
		{"finish", "SET status = 'fulfilled'", "pending"},
	}
	for _, tt := range tests {
		for _, way := range ways {
			t.Run(tt.name+", "+way.name, func(t *testing.T) {
				b := newBench(t)
				orders, proxy := b.throughProxy(t)
				const n, lost = 50, 8 // of the requests, which orders share
				way.lose(proxy, lost, tt.statement)
				var all errgroup.Group
				for range n {
					id := b.insert(tt.status, 0)
					all.Go(func() error {
						token, err := claimAs(b, orders, id, tt.status == "processing")
						if err != nil {
							return err
						}
						return orders.Finish(b.bounded(), id, token)
					})
				}
				must(t, all.Wait())
				if proxy.Lost() != lost {
					t.Errorf("%d lost, want %d: the fault did not happen", proxy.Lost(), lost)
				}
				var open int
				must(t, b.admin.QueryRow(t.Context(), `SELECT count(*) FROM orders WHERE status <> 'fulfilled'`).Scan(&open))
				if open != 0 {
					t.Errorf("%d orders are not fulfilled", open)
				}
				testenv.CheckContract(t, b.url)
			})
		}
	}
}

// A ping whose answers are lost fails, and only that one; a start goes on.
func TestPing_answersAreLost(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := newBench(t)
			orders, proxy := b.throughProxy(t)
			const statement = "transaction_read_only"
			for range 20 {
				way.lose(proxy, 2, statement) // it asks again over a new connection
				for orders.Ping(t.Context()) == nil && proxy.Lost() < 2 {
					// Watch met the fault instead
				}
				if err := orders.Ping(t.Context()); err != nil || proxy.Lost() != 2 {
					t.Fatalf("the next ping fails: %v; %d lost, want 2", err, proxy.Lost())
				}
			}
			way.lose(proxy, 4, statement)
			must(t, orders.Reach(b.bounded()))
			if proxy.Lost() != 4 {
				t.Errorf("%d lost, want 4: the fault did not happen", proxy.Lost())
			}
		})
	}
}

func TestOrders_waitOutAnOutage(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	admin := testenv.Pool(t, server.URL("orders"))
	orders := openAt(t, testenv.WorkerURL(server.URL("orders")), 2)
	var id int64
	must(t, admin.QueryRow(t.Context(), `INSERT INTO orders (product_id, quantity) VALUES (1, 1) RETURNING id`).Scan(&id))
	token, err := orders.Claim(t.Context(), id, "")
	must(t, err)

	server.Kill()
	testenv.Eventually(t, 3*time.Second, "the outage shows", func() bool { return !isClosed(orders.Available()) })
	finished := make(chan error, 1)
	go func() { finished <- orders.Finish(t.Context(), id, token) }()
	select {
	case err := <-finished:
		t.Fatalf("Finish returned %v during the outage, want it to wait", err)
	case <-time.After(2 * time.Second): // how long the outage lasts
	}
	must(t, server.Restart())
	testenv.Eventually(t, 5*time.Second, "the end of the outage shows", func() bool { return isClosed(orders.Available()) })
	must(t, <-finished)
	testenv.CheckContract(t, server.URL("orders"))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestOrders_giveUpWithTheCauseOfTheEnd(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	orders := openAt(t, testenv.WorkerURL(server.URL("orders")), 2)
	server.Kill()
	over := errors.New("it is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, over)
	defer cancel()
	if _, err := orders.Claim(ctx, 1, ""); !errors.Is(err, over) {
		t.Errorf("got %v, want %v", err, over)
	}
}

// What a row has against its change is the order's own failure; nothing waits for it.
func TestOrders_aRowThatRefuses(t *testing.T) {
	b := newBench(t)
	id := b.insert("pending", 0)
	_, err := b.admin.Exec(t.Context(), `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
		CREATE TRIGGER refuse BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`)
	must(t, err)
	if _, err := b.orders.Claim(b.bounded(), id, ""); err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Errorf("got %v, want the row's refusal", err)
	}
}

func TestReach_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dropped, revoked := testenv.Database(t), testenv.Database(t)
	_, err := testenv.Pool(t, dropped).Exec(t.Context(), `DROP TABLE orders`)
	must(t, err)
	_, err = testenv.Pool(t, revoked).Exec(t.Context(), `REVOKE UPDATE (updated_at) ON orders FROM `+testenv.WorkerRole)
	must(t, err)
	tests := []struct {
		name, url, want string
	}{
		{"nobody there", "postgres://u:canary@127.0.0.1:1/orders", "connection refused"},
		{"no table", testenv.WorkerURL(dropped), `relation "orders" does not exist`},
		{"too few rights", testenv.WorkerURL(revoked), db.ErrRights.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := pgxpool.ParseConfig(tt.url)
			must(t, err)
			orders, err := db.New(cfg, abandoned, logger.New(io.Discard, "test", slog.LevelError))
			must(t, err)
			defer orders.Close()
			over := errors.New("it is over")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, over)
			defer cancel()
			err = orders.Reach(ctx)
			if !errors.Is(err, over) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %v with %q and no password", err, over, tt.want)
			}
		})
	}
}

// An outage in which nothing was sent gives nobody a right to an order in another's hand.
func TestClaim_waitsOutAnOutageWithoutStealing(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	admin := testenv.Pool(t, server.URL("orders"))
	holder, other := openAt(t, testenv.WorkerURL(server.URL("orders")), 2), openAt(t, testenv.WorkerURL(server.URL("orders")), 2)
	var id int64
	must(t, admin.QueryRow(t.Context(), `INSERT INTO orders (product_id, quantity) VALUES (1, 1) RETURNING id`).Scan(&id))
	token, err := holder.Claim(t.Context(), id, "")
	must(t, err)
	server.Kill()
	result := make(chan error, 1)
	go func() {
		_, err := other.Claim(t.Context(), id, "")
		result <- err
	}()
	<-time.After(time.Second) // how long the outage lasts
	must(t, server.Restart())
	var hand *order.InHandError
	if err := <-result; !errors.As(err, &hand) {
		t.Errorf("the second claim got %v, want an InHandError", err)
	}
	must(t, holder.Finish(t.Context(), id, token))
	testenv.CheckContract(t, server.URL("orders"))
}

// A take-over that meets the holder's finish leaves the order fulfilled, whoever wins.
func TestClaim_takeOverRacesWithFinish(t *testing.T) {
	b := newBench(t)
	rival := openAt(t, testenv.WorkerURL(b.url), 2)
	for range 100 {
		id := b.insert("pending", 0)
		token, err := b.orders.Claim(t.Context(), id, "")
		must(t, err)
		finished := make(chan error, 1)
		go func() { finished <- b.orders.Finish(t.Context(), id, token) }()
		if token, err := rival.Claim(t.Context(), id, b.version(id)); err == nil {
			must(t, rival.Finish(t.Context(), id, token))
		}
		if err := <-finished; err != nil && !errors.Is(err, order.ErrSuperseded) && !errors.Is(err, order.ErrFulfilled) {
			t.Errorf("the holder's finish got %v, want it to win, or to learn who did", err)
		}
		if got := b.status(id); got != "fulfilled" {
			t.Errorf("order %d is %s", id, got)
		}
	}
	testenv.CheckContract(t, b.url)
}
