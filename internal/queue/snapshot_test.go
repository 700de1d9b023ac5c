package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is over soon is not worth a word to Redis; what has just begun may last, and is looked at
// again.
func TestSession_showsWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{epoch: time.Now(), lanes: newLanes(NewKeys("q"), "w-1", 1), unshown: make(chan struct{}, 1)}
		d := &Delivery{Payload: []byte("m"), session: s, lane: s.lanes[0]}
		d.lane.take(d)
		look := func(after time.Duration, shown, again int) {
			<-time.After(after)
			if n := len(s.atWork()); n != shown {
				t.Errorf("after another %v %d are shown, want %d", after, n, shown)
			}
			if len(s.unshown) != again {
				t.Errorf("after another %v %d looks are to come, want %d", after, len(s.unshown), again)
			}
			select {
			case <-s.unshown:
			default:
			}
		}
		look(time.Second, 0, 0) // it has not begun
		d.begun.Store(s.clock())
		look(0, 0, 1)
		look(shownFrom-1, 0, 1)
		look(1, 1, 0)
		look(time.Hour, 1, 0)
		d.lane.drop(d)
		look(0, 0, 0)
	})
}
