package watch

import (
	"context"
	"slices"
	"time"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"

	tea "charm.land/bubbletea/v2"
)

const (
	ticksEvery = 250 * time.Millisecond // leases run down, and ages grow, between two looks

	eventsKept  = 500
	samplesKept = 600
)

// Screen is the model that bubbletea runs: what was seen last, and where the person is in it.
type Screen struct {
	inspector *inspect.Inspector
	operator  *queue.Operator

	width, height int

	frame   inspect.Frame // the last that had an answer
	events  []inspect.Event
	samples []inspect.Sample
	seen    time.Time // when the frame came, by this computer's clock
	now     time.Time // by the same

	redis, postgres silence

	focus   focus
	worker  cursor
	order   cursor
	event   cursor
	letter  cursor
	page    page
	dead    []inspect.Letter
	deadErr string
	card    func() card // that is open

	question *question
	acting   bool
	leaving  bool // once the action is done
	notice   notice
}

// focus is the panel that the arrows move in.
type focus int

const (
	onWorkers focus = iota
	onOrders
	onEvents
	panels // how many there are
)

// page is what stands between the figures and the keys.
type page int

const (
	livePage page = iota
	lettersPage
	cardPage
	helpPage
)

// NewScreen returns a screen that has seen nothing yet.
func NewScreen(i *inspect.Inspector, o *queue.Operator) *Screen {
	return &Screen{inspector: i, operator: o, now: time.Now()}
}

// tick is the time, now and then.
type tick time.Time

func nextTick() tea.Cmd {
	return tea.Tick(ticksEvery, func(t time.Time) tea.Msg { return tick(t) })
}

// Init starts the clock.
func (s *Screen) Init() tea.Cmd { return nextTick() }

// Update takes in what happened.
func (s *Screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case tick:
		s.now = time.Time(msg)
		return s, nextTick()
	case inspect.Frame:
		s.see(msg)
		return s, s.readLetters()
	case lettersRead:
		s.keepLetters(msg)
	case outcome:
		return s, s.conclude(msg)
	case tea.KeyPressMsg:
		return s, s.press(msg.String())
	}
	return s, nil
}

// see takes in a frame. One without an answer repeats the last picture.
func (s *Screen) see(f inspect.Frame) {
	s.now = time.Now()
	s.redis.hear(f.Error, s.now)
	s.postgres.hear(f.PostgresError, s.now)
	s.events = lastOf(eventsKept, append(s.events, f.Events...))
	s.samples = lastOf(samplesKept, append(s.samples, f.Samples...))
	if f.Error == "" {
		s.frame, s.seen = f, s.now
	}
	if !slices.Contains(s.workerNames(), s.worker.name) { // it is gone: all again
		s.worker = cursor{}
	}
}

func lastOf[T any](n int, list []T) []T { return slices.Clone(list[max(0, len(list)-n):]) }

// clock is the time by Redis's clock, as far as it is known: it stands still while Redis
// gives no answer, and so does what is measured by it.
func (s *Screen) clock() time.Time {
	if s.redis.silent() {
		return s.frame.At
	}
	return s.frame.At.Add(max(0, s.now.Sub(s.seen)))
}

// silence is a server that gives no answer.
type silence struct {
	why   string
	since time.Time // by this computer's clock
}

func (s *silence) hear(err string, now time.Time) {
	if err != "" && !s.silent() {
		s.since = now
	}
	s.why = err
}

func (s *silence) silent() bool { return s.why != "" }

// within is how long the screen waits for what a person asked for.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Second)
}
