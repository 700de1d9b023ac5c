package db_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/logger"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// host is where this database's server is.
func (b *bench) host() string {
	b.Helper()
	u, err := url.Parse(b.url)
	must(b, err)
	return u.Host
}

// pooled are the workers' tables behind a pooler, which has fewer connections to
// PostgreSQL than any of them has to it.
func (b *bench) pooled(workers int, pooler interface{ URL(string) string }, mode string) []*db.Orders {
	b.Helper()
	u, err := url.Parse(pooler.URL(testenv.WorkerURL(b.url)))
	must(b, err)
	if mode != "" {
		u.RawQuery += "&default_query_exec_mode=" + mode
	}
	all := make([]*db.Orders, workers)
	for i := range all {
		all[i] = openAt(b.T, u.String(), 5)
	}
	return all
}

// fulfil has the tables claim and finish the orders by turns, as many at once as there are.
func (b *bench) fulfil(tables []*db.Orders, ids []int64) error {
	var all errgroup.Group
	for i, id := range ids {
		orders := tables[i%len(tables)]
		all.Go(func() error {
			token, err := claimAs(b, orders, id, false)
			if err != nil {
				return err
			}
			return orders.Finish(b.bounded(), id, token)
		})
	}
	return all.Wait()
}

// Whatever DATABASE_URL says of statements, a pooler that gives each transaction another
// connection does no harm to any.
func TestOrders_behindAPooler(t *testing.T) {
	for _, mode := range []string{"", "cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			b := newBench(t)
			tables := b.pooled(3, testenv.PgBouncer(t, b.host(), "default_pool_size=2"), mode)
			const rounds, each = 5, 60
			for range rounds {
				must(t, b.fulfil(tables, b.insertMany("pending", each)))
			}
			b.relay(tables, b.insertMany("pending", each))
			if n := b.count("fulfilled"); n != (rounds+1)*each {
				t.Errorf("%d orders are fulfilled, want %d", n, (rounds+1)*each)
			}
			if n := testenv.CountTakeovers(t, b.url); n != 0 {
				t.Errorf("%d orders were claimed again", n)
			}
			testenv.CheckContract(t, b.url)
		})
	}
}

// relay takes the orders through their states one after the other, by the tables in turns.
func (b *bench) relay(tables []*db.Orders, ids []int64) {
	b.Helper()
	token, err := tables[0].Claim(b.bounded(), ids[0], "")
	must(b, err)
	for i, next := range ids[1:] {
		finish, claim := tables[i%len(tables)].FinishAndClaim(db.Claimed{ID: ids[i], Token: token}, next)
		if !finish.Succeeded() || !claim.Succeeded() {
			b.Fatalf("order %d is finished at one go: %v, and the next is claimed: %v", ids[i], finish.Succeeded(), claim.Succeeded())
		}
		token, err = tables[0].GoOnClaiming(b.bounded(), claim)
		must(b, err)
	}
	must(b, tables[0].Finish(b.bounded(), ids[len(ids)-1], token))
}

// A pooler that dies takes answers with it: what they said is found out.
func TestOrders_poolerIsKilled(t *testing.T) {
	b := newBench(t)
	pooler := testenv.PgBouncer(t, b.host(), "default_pool_size=2")
	tables := b.pooled(3, pooler, "")
	const rounds, each = 4, 300
	for range rounds {
		ids := b.insertMany("pending", each)
		before := b.count("fulfilled")
		done := make(chan error, 1)
		go func() { done <- b.fulfil(tables, ids) }()
		testenv.Eventually(t, 10*time.Second, "some are fulfilled", func() bool { return b.count("fulfilled") > before })
		pooler.Kill()
		must(t, pooler.Restart())
		must(t, <-done)
	}
	if n := b.count("fulfilled"); n != rounds*each {
		t.Errorf("%d orders are fulfilled, want %d", n, rounds*each)
	}
	testenv.CheckContract(t, b.url)
}

// A pooler whose own connection breaks says so in an answer, which is none to the question.
func TestOrders_poolerLosesAnswers(t *testing.T) {
	for _, many := range []int{1, 30} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			b := newBench(t)
			between := testenv.NewProxy(t, b.host())
			orders := b.pooled(1, testenv.PgBouncer(t, between.Addr(), "default_pool_size=2"), "")[0]
			ids := b.insertMany("pending", many)
			between.LoseReplies(1, "OR status = 'processing' AND", nil)
			claims := orders.ClaimTogether(ids)
			b.lost(between)
			var all []db.Claimed
			for i, id := range ids {
				_, err := orders.GoOnClaiming(b.bounded(), claims[i])
				var inHand *order.InHandError
				if !errors.As(err, &inHand) || !inHand.Ours {
					t.Fatalf("a claim without an answer got %v, want its own", err)
				}
				token, err := orders.Claim(b.bounded(), id, inHand.Version)
				must(t, err)
				all = append(all, db.Claimed{ID: id, Token: token})
			}
			between.LoseReplies(1, "SET status = 'fulfilled'", nil)
			finishes := orders.FinishTogether(all)
			b.lost(between)
			must(t, errors.Join(b.goOn(orders, finishes)...))
			testenv.CheckContract(t, b.url)
		})
	}
}

// lost fails unless the proxy has lost the one answer that it should.
func (b *bench) lost(p *testenv.Proxy) {
	b.Helper()
	if p.Lost() != 1 {
		b.Fatalf("%d answers lost, want 1: the fault did not happen", p.Lost())
	}
}

// The look is one transaction, and its lock goes with it.
func TestAlone_behindAPooler(t *testing.T) {
	b := newBench(t)
	b.say(`ALTER ROLE %ROLE% IN DATABASE %DB% SET datestyle = 'German'`) // what is not prepared answers in text
	id := b.insert("pending", time.Hour)
	tables := b.pooled(2, testenv.PgBouncer(t, b.host(), "default_pool_size=2"), "")
	for range 3 {
		alone, err := tables[0].Alone(b.bounded(), "q", time.Minute, func(s *db.Stale) error {
			other, err := tables[1].Alone(b.bounded(), "q", time.Minute, func(*db.Stale) error { return nil })
			if other || err != nil {
				t.Errorf("another look got %t, %v, want to be kept out", other, err)
			}
			messages, err := s.Messages(b.bounded(), []int64{id})
			if len(messages) != 1 || messages[0].OrderID != id {
				t.Errorf("got %+v, want a message of order %d", messages, id)
			}
			return err
		})
		if !alone || err != nil {
			t.Errorf("got %t, %v, want to be let in", alone, err)
		}
	}
	// Something else takes the connection to PostgreSQL that looked last.
	alone, err := tables[1].Alone(b.bounded(), "other", time.Minute, func(*db.Stale) error {
		alone, err := tables[0].Alone(b.bounded(), "q", time.Minute, func(*db.Stale) error { return nil })
		if !alone || err != nil {
			t.Errorf("over another connection it got %t, %v, want to be let in", alone, err)
		}
		return nil
	})
	if !alone || err != nil {
		t.Errorf("got %t, %v, want to be let in", alone, err)
	}
}

// Who begins with a look has not met the pooler before.
func TestAlone_meetsThePoolerFirst(t *testing.T) {
	b := newBench(t)
	cfg, err := pgxpool.ParseConfig(testenv.PgBouncer(t, b.host()).URL(testenv.WorkerURL(b.url)))
	must(t, err)
	orders, err := db.New(cfg, abandoned, logger.New(&bytes.Buffer{}, "test", slog.LevelError))
	must(t, err)
	defer orders.Close()
	alone, err := orders.Alone(b.bounded(), "q", time.Minute, func(*db.Stale) error { return nil })
	if !alone || err != nil {
		t.Errorf("got %t, %v, want to be let in", alone, err)
	}
}

// It is said once that a pooler was found, and no trouble with it.
func TestReach_saysThatThereIsAPooler(t *testing.T) {
	b := newBench(t)
	pooler := testenv.PgBouncer(t, b.host())
	tests := []struct {
		name, url string
		want      int
	}{
		{"behind it", pooler.URL(testenv.WorkerURL(b.url)), 1},
		{"straight", testenv.WorkerURL(b.url), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := pgxpool.ParseConfig(tt.url)
			must(t, err)
			cfg.MinConns, cfg.MaxConns = 0, 5
			var log bytes.Buffer
			orders, err := db.New(cfg, abandoned, logger.New(&log, "test", slog.LevelInfo))
			must(t, err)
			must(t, orders.Reach(t.Context()))
			must(t, b.fulfil([]*db.Orders{orders}, b.insertMany("pending", 50)))
			orders.Close()
			if n := strings.Count(log.String(), "a pooler stands before PostgreSQL"); n != tt.want {
				t.Errorf("it is said %d times, want %d:\n%s", n, tt.want, log.String())
			}
			if strings.Contains(log.String(), "trying until it works") {
				t.Errorf("there is trouble:\n%s", log.String())
			}
		})
	}
}
