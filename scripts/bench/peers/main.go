// Command peers fulfils orders with other people's job queues, with the loop that one
// writes first, and with prototypes that show what the servers could do, so that
// scripts/bench can measure them beside the worker.
//
// It is a module of its own: none of those libraries enters the project's go.mod.
//
// It queues the messages of orders that are in the table, prints "ready", and begins when
// its input says "go". It prints "begun" with the first order and "done" with the last,
// and ends by SIGTERM, or with its input.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// options say what to run on which servers.
type options struct {
	system, store   string
	inHand          int
	first, orders   int64
	apart           time.Duration
	stuck           bool
	redis, database string
	connections     int
}

func main() {
	var o options
	flag.StringVar(&o.system, "system", "plain", "one of "+strings.Join(names(), ", "))
	flag.StringVar(&o.store, "store", "plain", "plain: two UPDATEs for each order; group: one for all that wait")
	flag.IntVar(&o.inHand, "in-hand", 10, "orders worked on at once")
	flag.Int64Var(&o.first, "first", 1, "id of the first order")
	flag.Int64Var(&o.orders, "orders", 0, "how many orders to queue, and to expect")
	flag.DurationVar(&o.apart, "apart", 0, "queue the orders while it runs, that far apart on average, and print when each was sent")
	flag.BoolVar(&o.stuck, "stuck", false, "never finish the first order")
	flag.StringVar(&o.redis, "redis", "", "address of Redis")
	flag.StringVar(&o.database, "database", "", "URL of PostgreSQL, as the owner of the orders")
	flag.IntVar(&o.connections, "connections", 10, "connections to PostgreSQL at most")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	db, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := open(ctx, o, db)
	if err != nil {
		return err
	}
	if o.apart == 0 {
		if err := s.enqueue(ctx, messages(o.first, o.orders)); err != nil {
			return fmt.Errorf("queue the orders: %w", err)
		}
	}
	runtime.GC() // what queueing left behind is no cost of an order's
	lines := bufio.NewScanner(in)
	fmt.Fprintln(out, "ready")
	if !lines.Scan() || lines.Text() != "go" {
		return errors.New("nobody said go")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		lines.Scan() // until the end of input
		cancel()
	}()
	if o.apart > 0 {
		go o.trickle(ctx, s, out)
	}
	if err := s.run(ctx, o.inHand, o.handler(db, out)); err != nil {
		return err
	}
	<-ctx.Done() // its CPU time is still to be read
	return nil
}

// trickle queues an order now and then, at moments that have nothing to do with the
// system's own turns, and prints its id and when it was sent, in ns since the epoch.
func (o options) trickle(ctx context.Context, s system, out io.Writer) {
	for _, m := range messages(o.first, o.orders) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(o.apart/2 + rand.N(o.apart)):
		}
		at := time.Now()
		if err := s.enqueue(ctx, []message{m}); err != nil {
			fmt.Fprintln(os.Stderr, "peers: queue an order:", err)
			return
		}
		fmt.Fprintln(out, "sent", m.OrderID, at.UnixNano())
	}
}

// connect opens the pool and its connections: every system begins with warm ones.
func (o options) connect(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(o.database)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(o.connections)
	if o.store == "group" || isCeiling(o.system) {
		// With its statistics out of date, PostgreSQL would plan a scan of the whole table
		// for a long list of ids.
		config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	}
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	var warm sync.WaitGroup
	for range o.connections {
		warm.Go(func() { _, _ = db.Exec(ctx, "SELECT pg_sleep(0.02)") })
	}
	warm.Wait()
	return db, db.Ping(ctx)
}

// fulfil is what is done about orders.
func (o options) fulfil(db *pgxpool.Pool) handler {
	switch {
	case o.system == "redis-alone":
		return func(context.Context, ...int64) error { return nil }
	case isCeiling(o.system):
		return fulfilAtOnce(db)
	case o.store == "group":
		return fulfilTogether(db)
	}
	return fulfilEach(db)
}

// handler fulfils orders and says so at the first and at the last.
func (o options) handler(db *pgxpool.Pool, out io.Writer) handler {
	fulfil := o.fulfil(db)
	var begun, done atomic.Int64
	return func(ctx context.Context, ids ...int64) error {
		if begun.Add(int64(len(ids))) == int64(len(ids)) {
			fmt.Fprintln(out, "begun")
			if o.stuck {
				select {} // until it is killed
			}
		}
		if err := fulfil(ctx, ids...); err != nil {
			fmt.Fprintf(os.Stderr, "peers: fulfil %d: %v\n", ids[0], err)
			return err
		}
		if done.Add(int64(len(ids))) == o.orders {
			fmt.Fprintln(out, "done")
		}
		return nil
	}
}
