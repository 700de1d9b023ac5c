package db_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulfillment-worker/internal/db"
	"fulfillment-worker/internal/order"
	"fulfillment-worker/internal/testenv"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// insertMany makes n orders in that state.
func (b *bench) insertMany(status string, n int) (ids []int64) {
	b.Helper()
	rows, err := b.admin.Query(b.Context(), `
		INSERT INTO orders (product_id, quantity, status) SELECT 1, 1, $1 FROM generate_series(1, $2) RETURNING id`, status, n)
	must(b, err)
	ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	must(b, err)
	return ids
}

// claimAll claims the orders at once and returns the tokens and errors.
func claimAll(ctx context.Context, orders *db.Orders, ids []int64) ([]db.Token, []error) {
	tokens, errs := make([]db.Token, len(ids)), make([]error, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { tokens[i], errs[i] = orders.Claim(ctx, id, "") })
	}
	all.Wait()
	return tokens, errs
}

// count is how many orders are in that state.
func (b *bench) count(status string) (n int) {
	b.Helper()
	must(b, b.admin.QueryRow(b.Context(), `SELECT count(*) FROM orders WHERE status = $1`, status).Scan(&n))
	return n
}

func TestOrders_shareTransactions(t *testing.T) {
	b := newBench(t)
	ids := b.insertMany("pending", 300)
	tokens, errs := claimAll(b.bounded(), b.orders, ids)
	must(t, errors.Join(errs...))
	transactions := map[db.Token]bool{} // the token names the one that made it
	for _, token := range tokens {
		transactions[token] = true
	}
	if n := len(transactions); n > len(ids)/3 {
		t.Errorf("%d orders were claimed in %d transactions", len(ids), n)
	}
	var all errgroup.Group
	for i, id := range ids {
		all.Go(func() error { return b.orders.Finish(b.bounded(), id, tokens[i]) })
	}
	must(t, all.Wait())
	if n := b.count("fulfilled"); n != len(ids) {
		t.Errorf("%d orders are fulfilled, want %d", n, len(ids))
	}
	testenv.CheckContract(t, b.url)
}

// What one order has against its change is nobody else's error, whenever it says so.
func TestOrders_oneAmongManyRefuses(t *testing.T) {
	refuse := `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.quantity = 13 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;`
	tests := []struct{ name, trigger string }{
		{"at once", `CREATE TRIGGER refuse BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`},
		{"when it is committed", `CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION refuse()`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			ids := b.insertMany("pending", 100)
			b.exec(refuse + tt.trigger)
			_, err := b.admin.Exec(t.Context(), `ALTER TABLE orders DISABLE TRIGGER refuse;
				UPDATE orders SET quantity = 13 WHERE id % 25 = 0; ALTER TABLE orders ENABLE TRIGGER refuse`)
			must(t, err)
			_, errs := claimAll(b.bounded(), b.orders, ids)
			for i, id := range ids {
				if refused := errs[i] != nil && strings.Contains(errs[i].Error(), "not this one"); refused != (id%25 == 0) {
					t.Errorf("order %d got %v", id, errs[i])
				}
			}
			if n := b.count("processing"); n != 96 {
				t.Errorf("%d orders are processing, want 96", n)
			}
		})
	}
}

// A row that somebody keeps locked holds up its own order, and no other for long.
func TestOrders_oneAmongManyIsLocked(t *testing.T) {
	b := newBench(t)
	orders := openAt(t, testenv.WorkerURL(b.url), 5)
	ids := b.insertMany("pending", 100)
	locked := ids[50]
	unlock := sync.OnceFunc(b.hold(`SELECT FROM orders WHERE id = ` + strconv.FormatInt(locked, 10) + ` FOR UPDATE`))
	defer unlock()
	done := make(chan int64, len(ids))
	for _, id := range ids {
		go func() {
			if _, err := orders.Claim(b.bounded(), id, ""); err != nil {
				t.Errorf("order %d: %v", id, err)
			}
			done <- id
		}()
	}
	limit := time.After(4 * time.Second) // in five, one who waits for the row is told that it was in vain
	for range len(ids) - 1 {
		select {
		case id := <-done:
			if id == locked {
				t.Error("the locked order is claimed")
			}
		case <-limit:
			t.Fatal("a locked row holds up other orders")
		}
	}
	unlock()
	if id := <-done; id != locked {
		t.Errorf("order %d came last, want the locked one", id)
	}
	testenv.CheckContract(t, b.url)
}

// Two who ask for one order at once never share a version: it would be a token for both.
func TestOrders_oneOrderTwiceAmongMany(t *testing.T) {
	b := newBench(t)
	ids := b.insertMany("pending", 50)
	tokens, errs := claimAll(b.bounded(), b.orders, append(ids, ids...))
	for i, id := range ids {
		first, second := errs[i], errs[i+len(ids)]
		var inHand *order.InHandError
		if (first == nil) == (second == nil) || !errors.As(errors.Join(first, second), &inHand) {
			t.Errorf("order %d: got %v and %v, want one claim, and one that is told of it", id, first, second)
		}
		if winner := tokens[i] + tokens[i+len(ids)]; string(winner) != b.version(id) {
			t.Errorf("order %d: the token is %q, the version %s", id, winner, b.version(id))
		}
	}
}

// Who gives up takes nobody's answer with him.
func TestOrders_oneAmongManyGivesUp(t *testing.T) {
	b := newBench(t)
	ids := b.insertMany("pending", 100)
	over, cancel := context.WithCancel(b.bounded())
	cancel()
	var all errgroup.Group
	for i, id := range ids {
		all.Go(func() error {
			ctx := b.bounded()
			if i%2 == 0 {
				ctx = over
			}
			token, err := b.orders.Claim(ctx, id, "")
			if err != nil {
				return err // the one try that everybody has needs no patience
			}
			return b.orders.Finish(ctx, id, token)
		})
	}
	must(t, all.Wait())
	if n := b.count("fulfilled"); n != len(ids) {
		t.Errorf("%d orders are fulfilled, want %d", n, len(ids))
	}
}

// PostgreSQL must find the rows by their ids, however long the table is and whatever its
// statistics say.
func TestOrders_readNoWholeTable(t *testing.T) {
	b := newBench(t)
	b.exec(`INSERT INTO orders (product_id, quantity, status) SELECT 1, 1, 'fulfilled' FROM generate_series(1, 150000)`)
	b.exec(`VACUUM ANALYZE orders`)
	scans := func() (n int) {
		must(t, b.admin.QueryRow(t.Context(), `SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'orders'`).Scan(&n))
		return n
	}
	orders := openAt(t, testenv.WorkerURL(b.url), 2)
	orders.Close() // its looks at the table count, too
	before := scans()
	orders = openAt(t, testenv.WorkerURL(b.url), 2)
	for range 12 { // PostgreSQL makes a plan of its own for the first five
		ids := b.insertMany("pending", 1000)
		tokens, errs := claimAll(b.bounded(), orders, ids)
		must(t, errors.Join(errs...))
		var all errgroup.Group
		for i, id := range ids {
			all.Go(func() error { return orders.Finish(b.bounded(), id, tokens[i]) })
		}
		must(t, all.Wait())
	}
	orders.Close() // which lets PostgreSQL count
	if n := scans() - before; n > 0 {
		t.Errorf("%d times the whole table was read", n)
	}
}

// Who was claimed together with others is told the same as if he had been alone.
func TestClaimTogether(t *testing.T) {
	b := newBench(t)
	states := map[int64]error{
		b.insert("pending", 0):               nil,
		b.insert("processing", 0):            &order.InHandError{},
		b.insert("processing", 2*abandoned):  &order.InHandError{},
		b.insert("fulfilled", 0):             order.ErrFulfilled,
		b.insert("cancelled", 0):             order.ErrForeign,
		b.insert("pending", 2*abandoned) + 9: order.ErrUnknown,
	}
	ids := slices.Sorted(maps.Keys(states))
	slices.Reverse(ids) // in no order of PostgreSQL's
	for i, attempt := range b.orders.ClaimTogether(ids) {
		token, err := b.orders.GoOnClaiming(b.bounded(), attempt)
		want := states[ids[i]]
		var inHand *order.InHandError
		if errors.As(want, &inHand) {
			if !errors.As(err, &inHand) {
				t.Errorf("order %d: got %v, want it in another's hand", ids[i], err)
			}
			continue
		}
		if !errors.Is(err, want) || (want == nil) != (token != "") {
			t.Errorf("order %d: got %q, %v, want %v", ids[i], token, err, want)
		}
		if want == nil {
			must(t, b.orders.Finish(b.bounded(), ids[i], token))
		}
	}
	testenv.CheckContract(t, b.url)
}

// A claim that was made together and had no answer is one's own, as it would be alone.
func TestClaimTogether_answersAreLost(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := newBench(t)
			orders, proxy := b.throughProxy(t)
			ids := b.insertMany("pending", 30)
			way.lose(proxy, 1, "OR status = 'processing' AND")
			attempts := orders.ClaimTogether(ids)
			if proxy.Lost() != 1 {
				t.Fatalf("%d lost, want 1: the fault did not happen", proxy.Lost())
			}
			var all errgroup.Group
			for i, id := range ids {
				all.Go(func() error {
					token, err := orders.GoOnClaiming(b.bounded(), attempts[i])
					var inHand *order.InHandError
					if errors.As(err, &inHand) && inHand.Ours {
						token, err = orders.Claim(b.bounded(), id, inHand.Version)
					}
					if err != nil {
						return err
					}
					return orders.Finish(b.bounded(), id, token)
				})
			}
			must(t, all.Wait())
			testenv.CheckContract(t, b.url)
		})
	}
}

// Who was finished together with others is told the same as if he had been alone.
func TestFinishTogether(t *testing.T) {
	b := newBench(t)
	mine, lost, over := b.insert("pending", 0), b.insert("pending", 0), b.insert("pending", 0)
	var all []db.Claimed
	for _, id := range []int64{over, lost, mine} {
		token, err := b.orders.Claim(b.bounded(), id, "")
		must(t, err)
		all = append(all, db.Claimed{ID: id, Token: token})
	}
	all = append(all, db.Claimed{ID: mine + 9, Token: all[0].Token})
	newer, err := b.orders.Claim(b.bounded(), lost, b.version(lost))
	must(t, err)
	must(t, b.orders.Finish(b.bounded(), over, all[0].Token))
	want := []error{order.ErrFulfilled, order.ErrSuperseded, nil, order.ErrUnknown}
	for i, attempt := range b.orders.FinishTogether(all) {
		if got := b.orders.GoOnFinishing(b.bounded(), attempt); !errors.Is(got, want[i]) {
			t.Errorf("order %d: got %v, want %v", all[i].ID, got, want[i])
		}
	}
	must(t, b.orders.Finish(b.bounded(), lost, newer))
	testenv.CheckContract(t, b.url)
}

// claimed claims n orders.
func (b *bench) claimed(n int) (all []db.Claimed) {
	b.Helper()
	ids := b.insertMany("pending", n)
	for i, attempt := range b.orders.ClaimTogether(ids) {
		token, err := b.orders.GoOnClaiming(b.bounded(), attempt)
		must(b, err)
		all = append(all, db.Claimed{ID: ids[i], Token: token})
	}
	return all
}

// goOn goes on with finishes that were tried together, each by itself.
func (b *bench) goOn(orders *db.Orders, attempts []db.Attempt) []error {
	errs := make([]error, len(attempts))
	var all sync.WaitGroup
	for i, attempt := range attempts {
		all.Go(func() { errs[i] = orders.GoOnFinishing(b.bounded(), attempt) })
	}
	all.Wait()
	return errs
}

// A row that refuses to be finished sinks none of those that it was tried with.
func TestFinishTogether_oneRefuses(t *testing.T) {
	b := newBench(t)
	all := b.claimed(30)
	b.exec(`ALTER TABLE orders ADD CONSTRAINT poison CHECK (status <> 'fulfilled' OR id <> ` + strconv.FormatInt(all[7].ID, 10) + `)`)
	for i, err := range b.goOn(b.orders, b.orders.FinishTogether(all)) {
		if (err != nil) != (i == 7) {
			t.Errorf("order %d: got %v", all[i].ID, err)
		}
	}
	if n := b.count("fulfilled"); n != 29 {
		t.Errorf("%d orders are fulfilled, want 29", n)
	}
}

// A finish that was made together and had no answer has succeeded, whoever carried it out.
func TestFinishTogether_answersAreLost(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := newBench(t)
			orders, proxy := b.throughProxy(t)
			all := b.claimed(30)
			way.lose(proxy, 1, "SET status = 'fulfilled'")
			attempts := orders.FinishTogether(all)
			if proxy.Lost() != 1 {
				t.Fatalf("%d lost, want 1: the fault did not happen", proxy.Lost())
			}
			must(t, errors.Join(b.goOn(orders, attempts)...))
			if n := b.count("fulfilled"); n != len(all) {
				t.Errorf("%d orders are fulfilled, want %d", n, len(all))
			}
			testenv.CheckContract(t, b.url)
		})
	}
}

// both is an order in hand, and one that is pending.
func (b *bench) both() (done db.Claimed, next int64) {
	b.Helper()
	return b.claimed(1)[0], b.insert("pending", 0)
}

// goOnWithBoth goes on with what was tried together, each by itself and at once.
func (b *bench) goOnWithBoth(orders *db.Orders, finish, claim db.Attempt) (token db.Token, finished, claimed error) {
	var all sync.WaitGroup
	all.Go(func() { finished = orders.GoOnFinishing(b.bounded(), finish) })
	all.Go(func() { token, claimed = orders.GoOnClaiming(b.bounded(), claim) })
	all.Wait()
	return token, finished, claimed
}

// An order is finished and another is claimed, in one transaction. Each is told the same as if
// it had been alone.
func TestFinishAndClaim(t *testing.T) {
	b := newBench(t)
	inHand := errors.New("in another hand")
	for _, tt := range []struct {
		name            string
		done, next      string // what became of them before
		finish, claimed error
	}{
		{"in one transaction", "", "", nil, nil},
		{"the one is in another hand", "taken over", "", order.ErrSuperseded, nil},
		{"the one is fulfilled", "finished", "", order.ErrFulfilled, nil},
		{"the other is in another hand", "", "taken over", nil, inHand},
		{"the other is fulfilled", "", "finished", nil, order.ErrFulfilled},
		{"neither is to be had", "finished", "finished", order.ErrFulfilled, order.ErrFulfilled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			done, next := b.both()
			for id, became := range map[int64]string{done.ID: tt.done, next: tt.next} {
				if became != "" {
					token, err := b.orders.Claim(b.bounded(), id, b.version(id))
					must(t, err)
					if became == "finished" {
						must(t, b.orders.Finish(b.bounded(), id, token))
					}
				}
			}
			finish, claim := b.orders.FinishAndClaim(done, next)
			if finish.Succeeded() != (tt.finish == nil) || claim.Succeeded() != (tt.claimed == nil) {
				t.Errorf("the finish succeeded at one go: %v, the claim: %v", finish.Succeeded(), claim.Succeeded())
			}
			if one := b.version(done.ID) == b.version(next); one != (tt.finish == nil && tt.claimed == nil) {
				t.Errorf("the rows have the versions %s and %s", b.version(done.ID), b.version(next))
			}
			token, finished, claimed := b.goOnWithBoth(b.orders, finish, claim)
			if !errors.Is(finished, tt.finish) {
				t.Errorf("the finish: got %v, want %v", finished, tt.finish)
			}
			var held *order.InHandError
			if errors.As(claimed, &held) {
				claimed = inHand
			}
			if !errors.Is(claimed, tt.claimed) {
				t.Errorf("the claim: got %v, want %v", claimed, tt.claimed)
			}
			if claimed == nil {
				must(t, b.orders.Finish(b.bounded(), next, token))
			}
		})
	}
	testenv.CheckContract(t, b.url)
}

// A row that refuses its step, at once or when it is committed, or that somebody keeps locked,
// is the trouble of its own order, and holds up the other for a moment at most.
func TestFinishAndClaim_oneIsInTheWay(t *testing.T) {
	for when, trigger := range map[string]string{
		"at once":              `CREATE TRIGGER refuse BEFORE UPDATE ON orders`,
		"when it is committed": `CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED`,
	} {
		for _, status := range []string{"fulfilled", "processing"} {
			t.Run("it refuses to be "+status+" "+when, func(t *testing.T) {
				b := newBench(t)
				done, next := b.both()
				b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
					BEGIN IF NEW.status = '` + status + `' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;` +
					trigger + ` FOR EACH ROW EXECUTE FUNCTION refuse()`)
				_, finished, claimed := b.goOnWithBoth(b.finishAndClaim(done, next))
				refused, other := finished, claimed
				if status == "processing" {
					refused, other = claimed, finished
				}
				if refused == nil || !strings.Contains(refused.Error(), "not this one") || other != nil {
					t.Errorf("the finish: got %v, the claim: %v, want one refusal", finished, claimed)
				}
			})
		}
	}
	for _, name := range []string{"the one", "the other"} {
		t.Run(name+" is locked", func(t *testing.T) {
			b := newBench(t)
			orders := openAt(t, testenv.WorkerURL(b.url), 5)
			done, next := b.both()
			locked := done.ID
			if name == "the other" {
				locked = next
			}
			unlock := sync.OnceFunc(b.hold(`SELECT FROM orders WHERE id = ` + strconv.FormatInt(locked, 10) + ` FOR UPDATE`))
			defer unlock()
			begun := time.Now()
			finish, claim := orders.FinishAndClaim(done, next)
			finished, claimed := make(chan error, 1), make(chan error, 1)
			go func() { finished <- orders.GoOnFinishing(b.bounded(), finish) }()
			go func() {
				_, err := orders.GoOnClaiming(b.bounded(), claim)
				claimed <- err
			}()
			other, held := claimed, finished
			if locked == next {
				other, held = finished, claimed
			}
			must(t, <-other)
			if waited := time.Since(begun); waited > 3*time.Second { // in five, a statement would end by itself
				t.Errorf("it was held up for %v", waited)
			}
			select {
			case err := <-held:
				t.Errorf("the locked order went on: %v", err)
			default:
			}
			unlock()
			must(t, <-held)
		})
	}
}

// finishAndClaim lets its results be passed on.
func (b *bench) finishAndClaim(done db.Claimed, next int64) (orders *db.Orders, finish, claim db.Attempt) {
	finish, claim = b.orders.FinishAndClaim(done, next)
	return b.orders, finish, claim
}

// What was tried together and had no answer is found out for each, and is no failure.
func TestFinishAndClaim_answersAreLost(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := newBench(t)
			orders, proxy := b.throughProxy(t)
			for range 10 {
				done, next := b.both()
				way.lose(proxy, 1, "SET status = 'fulfilled'")
				finish, claim := orders.FinishAndClaim(done, next)
				if proxy.Lost() != 1 {
					t.Fatalf("%d lost, want 1: the fault did not happen", proxy.Lost())
				}
				token, finished, claimed := b.goOnWithBoth(orders, finish, claim)
				var inHand *order.InHandError
				if errors.As(claimed, &inHand) && inHand.Ours {
					token, claimed = orders.Claim(b.bounded(), next, inHand.Version)
				}
				must(t, errors.Join(finished, claimed))
				must(t, orders.Finish(b.bounded(), next, token))
			}
			testenv.CheckContract(t, b.url)
		})
	}
}
