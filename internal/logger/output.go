package logger

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// most is how many bytes may gather until they are written.
	most = 1 << 16

	// pause is how much later than the one before a write begins for which nobody waits.
	pause = time.Millisecond
)

// output writes lines. Who comes while nobody is at it writes his line himself, or has
// somebody begin; what gathers meanwhile goes out in the next write.
//
// A write costs more than the line itself: the reader is woken for each.
type output struct {
	w io.Writer

	mu       sync.Mutex
	turned   *sync.Cond // by the end of each write
	writing  bool
	gathered []byte
	spare    []byte // the one before it
	came     int64  // lines that were gathered so far
	out      int64  // of them, those that were written
	awaited  int64  // of them, those that somebody waits for

	last  time.Time     // when the last write began
	hurry chan struct{} // ends a pause
}

func newOutput(w io.Writer) *output {
	o := &output{w: w, hurry: make(chan struct{}, 1)}
	o.turned = sync.NewCond(&o.mu)
	return o
}

// write writes a line, or leaves it to who is at it. With wait it returns once the line is
// out; its error is that of a write of its own.
func (o *output) write(line []byte, wait bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gather(line)
	if o.writing {
		if wait {
			o.await(o.came)
		} else {
			o.call(o.came)
		}
		return nil
	}
	o.writing = true
	err := o.turn()
	if len(o.gathered) > 0 {
		go o.writeAll() // the caller has better things to do
	} else {
		o.writing = false
	}
	return err
}

// leave has somebody else write a line: at once where the last write is long ago, or else
// after a pause, together with what comes until then.
func (o *output) leave(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gather(line)
	if !o.writing {
		o.writing = true
		go o.writeAll()
	}
}

// gather adds a line, once there is room.
func (o *output) gather(line []byte) {
	for len(o.gathered) >= most {
		o.await(o.out + 1) // the reader is slow
	}
	o.gathered = append(o.gathered, line...)
	o.came++
}

// writeAll writes until nothing gathers any more.
func (o *output) writeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.gathered) > 0 {
		o.rest(time.Until(o.last.Add(pause)))
		_ = o.turn() // nobody is left to be told
	}
	o.writing = false
}

// rest waits for so long, or until somebody waits for what has gathered.
func (o *output) rest(d time.Duration) {
	if d <= 0 || o.awaited > o.out {
		return
	}
	select {
	case <-o.hurry: // for what is out by now
	default:
	}
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-o.hurry:
	case <-time.After(d):
	}
}

// turn writes what has gathered.
func (o *output) turn() error {
	lines, last := o.gathered, o.came
	o.gathered, o.last = o.spare[:0], time.Now()
	o.mu.Unlock()
	_, err := o.w.Write(lines)
	o.mu.Lock()
	o.spare, o.out = lines, last
	o.turned.Broadcast()
	return err
}

// await waits until so many lines are out.
func (o *output) await(lines int64) {
	o.call(lines)
	for o.out < lines {
		o.turned.Wait()
	}
}

// call has so many lines written without a pause.
func (o *output) call(lines int64) {
	if o.awaited = max(o.awaited, lines); o.awaited <= o.out {
		return
	}
	select {
	case o.hurry <- struct{}{}:
	default:
	}
}

// Flush returns once all is out that was logged before.
func Flush(log *slog.Logger) {
	if h, ok := log.Handler().(*handler); ok {
		h.out.mu.Lock()
		defer h.out.mu.Unlock()
		h.out.await(h.out.came)
	}
}
