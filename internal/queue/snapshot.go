package queue

import (
	"context"
	_ "embed"
	"encoding/json"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/snapshot.lua
var snapshotLua string

var snapshotScript = redis.NewScript(snapshotLua)

// What Redis shows of the work may be behind it by the pause between two snapshots, and by what
// work must last to be shown: what is over sooner costs nothing.
const (
	showEvery = 200 * time.Millisecond
	shownFrom = 100 * time.Millisecond
)

// clock is how long the session has been there. It never jumps.
func (s *session) clock() int64 { return int64(time.Since(s.epoch)) }

// changed lets the snapshot be taken anew: some work has begun, or is over.
func (s *session) changed() {
	select {
	case s.unshown <- struct{}{}:
	default: // it will be taken anyway
	}
}

// keepSnapshot shows in Redis what the worker is working on, for people who look, until ctx
// is done.
func (s *session) keepSnapshot(ctx context.Context) {
	shown := map[string]*Delivery{} // nil: not known
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.unshown:
		}
		if !sleep(ctx, showEvery) {
			return
		}
		current := s.atWork()
		if err := s.show(ctx, shown, current); err != nil {
			s.log.DebugContext(ctx, "snapshot failed", "error", err)
			s.changed()
			current = nil // it may be shown all the same, or a part of it
		}
		shown = current
	}
}

// atWork is all that the worker is working on, by the fields that show it. What has just begun
// is left to the next snapshot.
func (s *session) atWork() map[string]*Delivery {
	all, now := map[string]*Delivery{}, s.clock()
	for _, l := range s.lanes {
		for _, d := range l.deliveries() {
			switch begun := d.begun.Load(); {
			case begun == 0:
			case now-begun < int64(shownFrom):
				s.changed()
			default:
				all["order:"+d.digest()] = d
			}
		}
	}
	return all
}

// show has Redis show what is current instead of what it shows.
func (s *session) show(ctx context.Context, shown, current map[string]*Delivery) error {
	ended, began := []string{}, [][3]any{}
	for field := range shown {
		if current[field] == nil {
			ended = append(ended, field)
		}
	}
	for field, d := range current {
		if shown[field] != d {
			age := time.Duration(s.clock() - d.begun.Load())
			began = append(began, [3]any{field, age.Milliseconds(), d.order() + " " + d.correlationID})
		}
	}
	for anew := shown == nil; anew || len(ended)+len(began) > 0; anew = false {
		some, more := min(len(ended), mostMessages), min(len(began), mostMessages)
		if err := s.showSome(ctx, anew, ended[:some], began[:more]); err != nil {
			return err
		}
		ended, began = ended[some:], began[more:]
	}
	return nil
}

// showSome holds up a worker that leaves no longer than its last call.
func (s *session) showSome(ctx context.Context, anew bool, ended []string, began [][3]any) error {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	return s.run(ctx, snapshotScript, []string{s.keys.Workers(), s.keys.Worker(s.instance)},
		s.instance, anew, asJSON(ended), asJSON(began),
	).Err()
}

// asJSON is a slice of strings and numbers in JSON.
func asJSON(slice any) []byte {
	text, _ := json.Marshal(slice) // nothing in it can fail
	return text
}
