package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"fulfillment-worker/internal/inspect"
	"fulfillment-worker/internal/queue"
)

const (
	fresh     = time.Second            // how old an answer may be that is given to another
	apart     = 250 * time.Millisecond // between the beginnings of two lookups: each is a few commands
	patience  = 5 * time.Second        // how long a question may wait for its turn
	lookupMay = 4 * time.Second        // how long a lookup may take
)

var errBusy = errors.New("too many lists are being looked at: try again")

// lookups answer what many ask at once, and much of what few do, so that what they cost does
// not grow with the pages that are open: who asks the same within a second gets the same
// answer, and the rest take turns. The zero value is ready.
type lookups struct {
	mu      sync.Mutex
	answers map[string]*answer
	turn    time.Time // of who asks next
}

type answer struct {
	asked time.Time
	done  chan struct{} // closed when the rest is there
	text  []byte
	err   error
}

// ask is what look says, or has just said to somebody else who asked the same.
func (l *lookups) ask(ctx context.Context, question string, look func(context.Context) ([]byte, error)) ([]byte, error) {
	a, wait, first := l.enter(question, time.Now())
	if a == nil {
		return nil, errBusy
	}
	if first {
		go func() { // others may wait for it when who asked has gone
			<-time.After(wait)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupMay)
			defer cancel()
			defer close(a.done)
			defer func() {
				if p := recover(); p != nil { // the worker that serves the page goes on
					a.err = fmt.Errorf("what is there makes no sense: %v", p)
				}
			}()
			a.text, a.err = look(ctx)
		}()
	}
	select {
	case <-a.done:
		return a.text, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// enter finds the answer to a question, or makes a place for it and says how long it is until
// its turn; nil if that is too long.
func (l *lookups) enter(question string, now time.Time) (a *answer, wait time.Duration, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for old, a := range l.answers {
		if now.Sub(a.asked) > fresh {
			delete(l.answers, old)
		}
	}
	if a := l.answers[question]; a != nil {
		return a, 0, false
	}
	turn := l.turn
	if turn.Before(now) {
		turn = now
	}
	wait = turn.Sub(now)
	if wait > patience {
		return nil, 0, false
	}
	l.turn = turn.Add(apart)
	a = &answer{asked: turn, done: make(chan struct{})}
	if l.answers == nil {
		l.answers = map[string]*answer{}
	}
	l.answers[question] = a
	return a, wait, true
}

// statusOf is the HTTP status for a lookup or an action that failed.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errBusy):
		return http.StatusTooManyRequests
	case errors.Is(err, queue.ErrLetterID):
		return http.StatusBadRequest
	case errors.Is(err, inspect.ErrNoLetter):
		return http.StatusNotFound
	}
	return http.StatusBadGateway
}
