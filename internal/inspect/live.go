package inspect

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"fulfillment-worker/internal/metrics"
)

const (
	// lookEvery is the pause between two looks while somebody watches.
	lookEvery = time.Second

	// idleEvery is the pause while nobody does: whoever comes sees the last minutes.
	idleEvery = 10 * time.Second

	// remembered is for how long samples are kept.
	remembered = 10 * time.Minute

	redisTime    = 2 * time.Second        // that one look may take
	postgresTime = 500 * time.Millisecond // so, too, in PostgreSQL
)

// Frame is what a [Live] saw at one look, and what is new since the frame before.
type Frame struct {
	// Overview is as of the last look that had an answer; its events are those that are new.
	Overview

	// Age is how long ago that look was.
	Age Millis `json:"age_ms"`

	// Error says why the last look had no answer; "" where it had.
	Error string `json:"error"`

	// PostgresError says why the orders' statuses are missing; "" where they are not.
	PostgresError string `json:"postgres_error"`

	Samples []Sample `json:"samples"` // that are new, the oldest first
}

// Sample is one point of the charts.
type Sample struct {
	At        time.Time `json:"at"`
	Waiting   int64     `json:"waiting"`
	InHand    int64     `json:"in_hand"`
	Delayed   int64     `json:"delayed"`
	Dead      int64     `json:"dead"`
	Workers   int       `json:"workers"`   // that live
	Claimed   float64   `json:"claimed"`   // a second, as of the workers' last beats, as the next three
	Fulfilled float64   `json:"fulfilled"` //
	Retried   float64   `json:"retried"`
	Died      float64   `json:"died"`

	// Of the orders since the beats before: how long they waited for their claim, and how
	// long the work on them took.
	WaitedP50 Millis `json:"waited_p50_ms"`
	WaitedP95 Millis `json:"waited_p95_ms"`
	WorkedP50 Millis `json:"worked_p50_ms"`
	WorkedP95 Millis `json:"worked_p95_ms"`
}

// Live looks at a queue again and again, for all who watch: however many they are, Redis
// and PostgreSQL are each asked once a second, and every ten seconds while nobody watches.
type Live struct {
	inspector *Inspector

	looking sync.Mutex // held during a look; there is one at a time

	mu       sync.Mutex
	frame    Frame     // the last, without what is kept below
	lookedAt time.Time // by this process's clock
	asked    bool      // PostgreSQL, too: somebody watched
	sawAt    time.Time // the same, of the last look that had an answer
	events   []Event   // the latest, as many as an overview has
	samples  []Sample
	pulses   map[string]pulse // by instance
	watchers int
	turned   chan struct{} // closed after each look
	wanted   chan struct{} // somebody begins to watch
}

// pulse is what a worker's last beat told, and what it had done since the one before.
type pulse struct {
	beat  time.Time
	tally metrics.Tally
	done  metrics.Tally
	in    time.Duration
}

// NewLive returns a Live that looks through the inspector, once it runs.
func NewLive(i *Inspector) *Live {
	return &Live{inspector: i, pulses: map[string]pulse{}, turned: make(chan struct{}), wanted: make(chan struct{}, 1)}
}

// Run looks until ctx is done, and returns nil then.
func (l *Live) Run(ctx context.Context) error {
	for {
		began := time.Now()
		l.look(ctx)
		if !l.rest(ctx, began) {
			return nil
		}
	}
}

// rest waits for the next look. However many come to watch, and how often, there is not
// more than one a second. It returns false once ctx is done.
func (l *Live) rest(ctx context.Context, began time.Time) bool {
	pause := time.NewTimer(l.pause())
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-pause.C:
			return true
		case <-l.wanted:
			pause.Reset(lookEvery - time.Since(began))
		}
	}
}

func (l *Live) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers > 0 {
		return lookEvery
	}
	return idleEvery
}

// Watch yields a frame after each look, the first of which is at once.
// The first one's events and samples are all that are kept. It ends with ctx. Who is slow
// gets fewer frames, with more in each.
func (l *Live) Watch(ctx context.Context) iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		l.enter()
		defer l.leave()
		var lastEvent string
		var lastSample time.Time
		for {
			f, complete, turned := l.since(lastEvent, lastSample)
			if complete {
				if !yield(f) {
					return
				}
				if n := len(f.Events); n > 0 {
					lastEvent = f.Events[n-1].ID
				}
				if n := len(f.Samples); n > 0 {
					lastSample = f.Samples[n-1].At
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-turned:
			}
		}
	}
}

func (l *Live) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers++
	select {
	case l.wanted <- struct{}{}:
	default:
	}
}

func (l *Live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers--
}

// since is the last frame with what is newer than an event and a sample, whether it has all
// that a watcher is shown, and the channel that the next look closes.
func (l *Live) since(event string, sample time.Time) (f Frame, complete bool, turned <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f = l.aged()
	from := 1 + slices.IndexFunc(l.events, func(e Event) bool { return e.ID == event })
	f.Events = append([]Event{}, l.events[from:]...)
	f.Samples = []Sample{}
	for _, s := range l.samples {
		if s.At.After(sample) {
			f.Samples = append(f.Samples, s)
		}
	}
	return f, l.asked || f.Error != "", l.turned
}

// Latest is a frame that is at most as old as the pause between two looks, without events
// or samples. It looks by itself if need be.
func (l *Live) Latest(ctx context.Context) Frame {
	l.mu.Lock()
	fresh := time.Since(l.lookedAt) < lookEvery
	l.mu.Unlock()
	if !fresh {
		l.lookUnless(ctx, lookEvery)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.aged()
	if time.Since(l.lookedAt) >= lookEvery && f.Error == "" {
		f.Error = "look into Redis: no answer in time"
	}
	return f
}

func (l *Live) aged() Frame {
	f := l.frame
	if !l.sawAt.IsZero() {
		f.Age = Millis(time.Since(l.sawAt))
	}
	return f
}

// lookUnless looks, unless somebody else has done so since it was called, or just before.
func (l *Live) lookUnless(ctx context.Context, within time.Duration) {
	l.looking.Lock()
	defer l.looking.Unlock()
	l.mu.Lock()
	done := time.Since(l.lookedAt) < within
	l.mu.Unlock()
	if !done {
		l.see(ctx)
	}
}

func (l *Live) look(ctx context.Context) { l.lookUnless(ctx, 0) }

// see asks both servers and tells the watchers.
func (l *Live) see(ctx context.Context) {
	after, watched := l.needs()
	o, err, postgresErr := l.ask(ctx, after, watched)
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookedAt, l.asked = time.Now(), watched
	if err != nil {
		l.frame.Error = err.Error()
	} else {
		l.sawAt = l.lookedAt
		l.keep(o, postgresErr)
	}
	close(l.turned)
	l.turned = make(chan struct{})
}

// ask asks Redis, and PostgreSQL too for those who watch. Whatever it meets there, the
// worker that serves the page goes on.
func (l *Live) ask(ctx context.Context, after string, watched bool) (o Overview, err, postgresErr error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("look into Redis: what is there makes no sense: %v", p)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	if o, err = l.inspector.Overview(limited, after); err != nil || !watched {
		return o, err, nil
	}
	limited, cancel = context.WithTimeout(ctx, postgresTime)
	defer cancel()
	postgresErr = l.inspector.AddStatuses(limited, &o)
	return o, nil, postgresErr
}

// needs are the last event that is known, and whether anybody watches.
func (l *Live) needs() (after string, watched bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.events); n > 0 {
		after = l.events[n-1].ID
	}
	return after, l.watchers > 0
}

// keep takes in what was seen.
func (l *Live) keep(o Overview, postgresErr error) {
	l.events = append(l.events, o.Events...)
	l.events = slices.Clone(l.events[max(0, len(l.events)-eventsShown):])
	l.samples = append(l.samples, l.sample(o))
	old := slices.IndexFunc(l.samples, func(s Sample) bool { return o.At.Sub(s.At) < remembered })
	l.samples = slices.Clone(l.samples[max(0, old):])
	o.Events = nil
	l.frame = Frame{Overview: o}
	if postgresErr != nil {
		l.frame.PostgresError = postgresErr.Error()
	}
}

func (l *Live) sample(o Overview) Sample {
	s := Sample{At: o.At, Waiting: o.Waiting, InHand: o.InHand(), Delayed: o.Delayed, Dead: o.Dead}
	pulses := map[string]pulse{}
	var done metrics.Tally
	for _, m := range o.Workers {
		p, known := l.pulses[m.Instance]
		switch {
		case !known:
			p = pulse{beat: m.BeatAt, tally: m.Tally}
		case m.BeatAt.After(p.beat):
			p = pulse{m.BeatAt, m.Tally, m.Tally.Since(p.tally), m.BeatAt.Sub(p.beat)}
		}
		pulses[m.Instance] = p
		if m.State != Alive {
			continue
		}
		s.Workers++
		done = done.Plus(p.done)
		s.Claimed += perSecond(p.done.Claimed, p.in)
		s.Fulfilled += perSecond(p.done.Fulfilled, p.in)
		s.Retried += perSecond(p.done.Retried, p.in)
		s.Died += perSecond(p.done.Dead, p.in)
	}
	l.pulses = pulses
	s.WaitedP50, s.WaitedP95 = Millis(done.Waiting.Quantile(0.5)), Millis(done.Waiting.Quantile(0.95))
	s.WorkedP50, s.WorkedP95 = Millis(done.Working.Quantile(0.5)), Millis(done.Working.Quantile(0.95))
	return s
}

func perSecond(n uint64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}
