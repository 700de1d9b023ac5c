package queue

// crew are goroutines that are used again: their stacks have grown already, which costs a
// new one more than all that it has to do for some orders.
type crew struct {
	idle chan func()
	over chan struct{}
}

func newCrew() *crew { return &crew{make(chan func()), make(chan struct{})} }

// run has f run by whoever has nothing to do, or else by somebody new.
func (c *crew) run(f func()) {
	select {
	case c.idle <- f:
	default:
		go c.work(f)
	}
}

func (c *crew) work(f func()) {
	for {
		f()
		select {
		case f = <-c.idle:
		case <-c.over:
			return
		}
	}
}

// dismiss lets all go who have nothing to do, now or later.
func (c *crew) dismiss() { close(c.over) }
