package logger

import (
	"io"
	"log/slog"
	"sync"
)

// most is how many bytes may gather while a write is under way.
const most = 1 << 16

// output writes lines. Who comes while nobody is at it writes his line himself; what
// gathers meanwhile goes out in the next write.
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
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
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

// leave has somebody else write a line: what comes until he gets round to it goes out with
// it.
func (o *output) leave(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gather(line)
	if !o.writing {
		o.writing = true
		go o.writeAll()
	}
}

func (o *output) gather(line []byte) {
	for len(o.gathered) >= most {
		o.turned.Wait() // the reader is slow
	}
	o.gathered = append(o.gathered, line...)
	o.came++
}

// writeAll writes until nothing gathers any more.
func (o *output) writeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.gathered) > 0 {
		_ = o.turn() // nobody is left to be told
	}
	o.writing = false
}

// turn writes what has gathered.
func (o *output) turn() error {
	lines, last := o.gathered, o.came
	o.gathered = o.spare[:0]
	o.mu.Unlock()
	_, err := o.w.Write(lines)
	o.mu.Lock()
	o.spare, o.out = lines, last
	o.turned.Broadcast()
	return err
}

// await waits until so many lines are out.
func (o *output) await(lines int64) {
	for o.out < lines {
		o.turned.Wait()
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
