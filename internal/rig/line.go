package rig

import (
	"encoding/json"
	"strings"
	"time"
)

// Line is a line of a worker's log.
type Line struct {
	Worker   string    `json:"-"` // the name of the worker that wrote it
	Time     time.Time `json:"timestamp"`
	Level    string    `json:"level"`
	Message  string    `json:"message"`
	OrderID  int64     `json:"order_id"` // 0 where it is not about an order
	Instance string    `json:"instance"`
	Messages int       `json:"messages"` // of a reaped worker
	Error    string    `json:"error"`
}

// Event is what a line tells.
type Event int

// The events that this package knows; any other line is an Other.
const (
	Other      Event = iota
	Joined           // Instance is in the registry and about to claim
	Processing       // the work on the order begins
	TakenOver        // the order was in somebody else's hand when this worker took it
	Fulfilled        // the order is, by this worker
	Dropped          // the order was fulfilled before; its message is forgotten
	Superseded       // the order is somebody else's now; this worker changed nothing
	Reaped           // Instance is dead, its Messages are back in the queue
)

// Event tells by the message what the line is about.
func (l Line) Event() Event {
	has := func(prefix, suffix string) bool {
		return strings.HasPrefix(l.Message, prefix) && strings.HasSuffix(l.Message, suffix)
	}
	switch {
	case has("Fulfillment Worker started", ""), has("joined anew", ""):
		return Joined
	case has("Processing order ", ""):
		return Processing
	case has("Order ", " taken over from a former holder"):
		return TakenOver
	case has("Order ", " fulfilled"):
		return Fulfilled
	case has("Order was fulfilled before", ""), has("Order was fulfilled by its new holder", ""):
		return Dropped
	case has("Order was taken over, nothing changed", ""):
		return Superseded
	case has("reaped a dead worker", ""):
		return Reaped
	}
	return Other
}

// parse reads a line of a log. What is not JSON, as the last words of a crash, is a
// message with the level error.
func parse(worker string, text []byte) Line {
	l := Line{Worker: worker}
	if err := json.Unmarshal(text, &l); err != nil {
		return Line{Worker: worker, Time: time.Now(), Level: "error", Message: string(text)}
	}
	return l
}
