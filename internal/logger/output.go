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

	// pause is how long a line waits for others for which nobody waits.
	pause = time.Millisecond
)

// output writes lines. Who waits for his line writes it himself, and with it what has gathered
// until then; what nobody waits for is written after a pause.
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
	left     bool   // somebody will write them after a pause
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	o.turned = sync.NewCond(&o.mu)
	return o
}

// write writes a line, or, without wait, leaves it where a write is under way. Its error is
// that of a write of its own.
func (o *output) write(line []byte, wait bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gather(line)
	if o.writing && !wait {
		o.leaveAll()
		return nil
	}
	return o.await(o.came)
}

// leave leaves a line to be written.
func (o *output) leave(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gather(line)
	o.leaveAll()
}

// leaveAll has what has gathered written after a pause, if nobody writes it before.
func (o *output) leaveAll() {
	if o.left {
		return
	}
	o.left = true
	time.AfterFunc(pause, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.left = false
		_ = o.await(o.came) // nobody is left to be told
	})
}

// gather adds a line, once there is room.
func (o *output) gather(line []byte) {
	for len(o.gathered) >= most {
		_ = o.await(o.out + 1) // the reader is slow
	}
	o.gathered = append(o.gathered, line...)
	o.came++
}

// await returns once so many lines are out.
func (o *output) await(lines int64) (err error) {
	for o.out < lines {
		if o.writing {
			o.turned.Wait()
		} else {
			err = o.turn()
		}
	}
	return err
}

// turn writes what has gathered.
func (o *output) turn() error {
	lines, last := o.gathered, o.came
	o.gathered, o.writing = o.spare[:0], true
	o.mu.Unlock()
	_, err := o.w.Write(lines)
	o.mu.Lock()
	o.spare, o.out, o.writing = lines, last, false
	o.turned.Broadcast()
	return err
}

// Flush returns once all is out that was logged before.
func Flush(log *slog.Logger) {
	if h, ok := log.Handler().(*handler); ok {
		h.out.mu.Lock()
		defer h.out.mu.Unlock()
		_ = h.out.await(h.out.came)
	}
}
