package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/queue"
	"fulfillment-worker/internal/rig"
)

const (
	workers     = 3
	orders      = 60
	concurrency = 5
	killAfter   = orders / 3       // orders fulfilled before the kill
	patience    = 60 * time.Second // for anything that is waited for
)

//go:embed audit.sql
var auditSchema string

// story is one run of the demo.
type story struct {
	*account
	rig      *rig.Rig
	db       *pgx.Conn
	defaults config.Config

	lines   chan rig.Line
	workers map[string]*rig.Worker // by name
	joined  map[string]string      // instance → name
	done    map[int64]bool         // orders that some log says are fulfilled
	dead    *dead                  // nil until one is killed
}

// dead is the worker that was killed.
type dead struct {
	name     string
	instance string
	killed   time.Time
	reaped   time.Time
	reaper   string
	held     []*held // oldest first
}

// held is an order that it had in hand.
type held struct {
	id        int64
	begun     bool // the row was processing when the heir took it
	heir      string
	taken     time.Time
	fulfilled time.Time
	dropped   bool // it was fulfilled before the kill, so that the heir only forgot the message
}

func newStory(r *rig.Rig, a *account) *story {
	defaults, _ := config.Load(func(string) string { return "" }) // an empty environment is a valid one
	return &story{
		account: a, rig: r, defaults: defaults, lines: make(chan rig.Line, 10*orders),
		workers: map[string]*rig.Worker{}, joined: map[string]string{}, done: map[int64]bool{},
	}
}

// tell is the story from its beginning to the verdict.
func (s *story) tell(ctx context.Context) (err error) {
	if s.db, err = pgx.Connect(ctx, s.rig.DatabaseURL()); err != nil {
		return err
	}
	defer s.db.Close(context.WithoutCancel(ctx))
	if _, err := s.db.Exec(ctx, auditSchema); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.begin, s.enqueue, s.kill, s.watchToTheEnd, s.judge} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) begin(ctx context.Context) error {
	s.midnight = time.Now()
	s.at(s.midnight, "%d workers start, each with room for %d orders; an order takes %v to %v, a lease %v",
		workers, concurrency, s.defaults.ProcessingMin, s.defaults.ProcessingMax, s.defaults.LeaseTTL)
	for n := range workers {
		name := "worker-" + strconv.Itoa(n+1)
		w, err := s.rig.Start(name, func(l rig.Line) { s.lines <- l }, "WORKER_CONCURRENCY="+strconv.Itoa(concurrency))
		if err != nil {
			return err
		}
		s.workers[name] = w
	}
	return s.watch(ctx, "all workers have joined", func() bool { return len(s.joined) == workers })
}

func (s *story) enqueue(ctx context.Context) error {
	var out bytes.Buffer
	if err := s.rig.Queuectl(ctx, &out, "enqueue", "--count", strconv.Itoa(orders)); err != nil {
		return err
	}
	s.at(time.Now(), "queuectl enqueue: %s", strings.TrimSpace(out.String()))
	s.line("        (#: fulfilled, +: processing, -: pending)")
	return s.watch(ctx, "enough orders are fulfilled for the kill", func() bool { return len(s.done) >= killAfter })
}

// kill kills the worker that has most in hand.
func (s *story) kill(ctx context.Context) error {
	before, err := s.inflight(ctx)
	if err != nil {
		return err
	}
	busiest := before[0]
	for _, i := range before {
		if len(i.Messages) > len(busiest.Messages) {
			busiest = i
		}
	}
	d := &dead{name: s.joined[busiest.Instance], instance: busiest.Instance}
	victim := s.workers[d.name]
	if victim == nil {
		return fmt.Errorf("instance %s in Redis is none of the workers'", busiest.Instance)
	}
	d.killed = victim.Kill()
	s.dead = d // from here on its death matters to what is heard
	return s.mourn(ctx, victim.PID())
}

// mourn tells what the dead worker had in hand: nobody changes its list now, until
// its lease is over.
func (s *story) mourn(ctx context.Context, pid int) error {
	d := s.dead
	i, err := s.instance(ctx, d.instance)
	if err != nil {
		return err
	}
	if len(i.Messages) == 0 {
		return fmt.Errorf("%s had nothing in hand when it was killed", d.name)
	}
	for _, m := range i.Messages {
		d.held = append(d.held, &held{id: m.OrderID})
	}
	s.at(d.killed, "%s", s.paint(red, "kill -9 %s (process %d) with %s in hand: %s", d.name, pid, plural(len(d.held), "order"), list(d.ids())))
	s.at(time.Now(), "in Redis its list stays, and %s of its lease: %s", lease(i), queue.NewKeys(s.defaults.QueueName).Processing(d.instance))
	for _, m := range i.Messages {
		s.line("           order %d, %s, %s, correlation id %s", m.OrderID, m.Status, m.work(), m.CorrelationID)
	}
	return nil
}

func (s *story) watchToTheEnd(ctx context.Context) error {
	err := s.watch(ctx, "every order is fulfilled", func() bool { return len(s.done) == orders && s.dead.succeeded() })
	if errors.Is(err, errPatience) {
		s.at(time.Now(), "%s", s.paint(red, "%v", err))
		return nil // the verdict says what is missing
	}
	return err
}

func (d *dead) ids() []int64 {
	var ids []int64
	for _, h := range d.held {
		ids = append(ids, h.id)
	}
	return ids
}

// find is what is known of that order; nil if the dead worker did not hold it.
func (d *dead) find(id int64) *held {
	if d == nil {
		return nil
	}
	for _, h := range d.held {
		if h.id == id {
			return h
		}
	}
	return nil
}

// succeeded reports whether somebody has finished all that it held.
func (d *dead) succeeded() bool {
	for _, h := range d.held {
		if h.fulfilled.IsZero() {
			return false
		}
	}
	return true
}

// status is what queuectl status says.
type status struct {
	Orders map[string]int `json:"orders"`
}

// instance is a worker in what queuectl inflight says.
type instance struct {
	Instance  string    `json:"instance"`
	LeaseLeft *int64    `json:"lease_left_ms"`
	Messages  []message `json:"messages"`
}

type message struct {
	OrderID       int64  `json:"order_id"`
	CorrelationID string `json:"correlation_id"`
	Status        string `json:"status"`
	Age           *int64 `json:"age_ms"`
}

func (m message) work() string {
	if m.Age == nil {
		return "not started"
	}
	return "started " + seconds(time.Duration(*m.Age)*time.Millisecond) + " ago"
}

func lease(i instance) string {
	if i.LeaseLeft == nil || *i.LeaseLeft < 0 {
		return "nothing"
	}
	return seconds(time.Duration(*i.LeaseLeft) * time.Millisecond)
}

func (s *story) inflight(ctx context.Context) (all []instance, err error) {
	err = s.ask(ctx, &all, "inflight")
	if err == nil && len(all) == 0 {
		err = errors.New("queuectl inflight shows no worker")
	}
	return all, err
}

func (s *story) instance(ctx context.Context, name string) (instance, error) {
	all, err := s.inflight(ctx)
	for _, i := range all {
		if i.Instance == name {
			return i, nil
		}
	}
	return instance{}, err // it is gone: an empty one
}

// ask runs queuectl and decodes what it says.
func (s *story) ask(ctx context.Context, into any, command string) error {
	var out bytes.Buffer
	if err := s.rig.Queuectl(ctx, &out, command, "--json"); err != nil {
		return err
	}
	return json.Unmarshal(out.Bytes(), into)
}
