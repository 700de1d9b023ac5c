package queue

// dispatch has messages handled that were claimed together and are in that lane. Each uses
// up one slot until it is settled.
func (s *session) dispatch(l *lane, payloads ...string) {
	all := make([]*Delivery, len(payloads))
	for i, payload := range payloads {
		l.take(payload)
		all[i] = &Delivery{Payload: []byte(payload), session: s, lane: l}
	}
	s.handlers.Add(len(all))
	s.pass(all)
}

// pass has deliveries handled by a goroutine that has nothing to do, whose stack has grown
// already, or else by a new one.
func (s *session) pass(all []*Delivery) {
	select {
	case s.idle <- all:
	default:
		go func() {
			s.deliver(all)
			for more := range s.idle {
				s.deliver(more)
			}
		}()
	}
}

// deliver prepares deliveries together, unless that was done, and has each handled by a
// goroutine of its own.
func (s *session) deliver(all []*Delivery) {
	if all[0].digest == "" {
		s.prepare(all)
	}
	for i := range all[1:] {
		s.pass(all[i+1 : i+2])
	}
	d := all[0]
	defer s.handlers.Done()
	defer d.lane.drop(string(d.Payload))
	defer s.release(d)
	s.settle(d, s.safely(d))
}

// prepare does what can be done for all of them at once.
func (s *session) prepare(all []*Delivery) {
	for _, d := range all {
		d.digest = Digest(d.Payload)
	}
	if s.Prepare == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil { // each is handled without, and shows whose fault it is
			s.log.Error("the preparation panicked", "error", p)
		}
	}()
	s.Prepare(s.live, all)
}

// release frees the slot of a delivery, unless that was done.
func (s *session) release(d *Delivery) {
	if !d.released {
		d.released = true
		s.freeSlots(1)
	}
}
