package dashboard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLookups_oneLookForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		var looks atomic.Int64
		look := func(context.Context) ([]byte, error) {
			<-time.After(100 * time.Millisecond)
			return fmt.Append(nil, looks.Add(1)), nil
		}
		ask := func(ctx context.Context) string {
			text, err := l.ask(ctx, "a", look)
			return fmt.Sprint(string(text), err)
		}
		var all sync.WaitGroup
		gone, cancel := context.WithCancel(t.Context())
		all.Go(func() { ask(gone) }) // who asks first goes
		synctest.Wait()
		cancel()
		for range 100 {
			all.Go(func() {
				if got := ask(t.Context()); got != "1<nil>" {
					t.Errorf("the answer is %s", got)
				}
			})
		}
		all.Wait()
		<-time.After(fresh)
		if got := ask(t.Context()); got != "2<nil>" {
			t.Errorf("a second later the answer is %s", got)
		}
	})
}

func TestLookups_takeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		began := time.Now()
		var mu sync.Mutex
		var looked []time.Duration
		busy := 0
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				_, err := l.ask(t.Context(), fmt.Sprint(n), func(context.Context) ([]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					looked = append(looked, time.Since(began))
					return nil, nil
				})
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, errBusy) {
					busy++
				}
			})
		}
		all.Wait()
		if want := int(patience/apart) + 1; len(looked) != want || busy != 100-want {
			t.Errorf("%d looks, %d turned away, want %d looks", len(looked), busy, want)
		}
		for n, at := range looked {
			if at != time.Duration(n)*apart {
				t.Errorf("look %d was after %v", n, at)
			}
		}
	})
}
