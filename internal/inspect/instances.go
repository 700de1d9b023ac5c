package inspect

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Instance is one worker instance as it has described itself.
type Instance struct {
	Instance string `json:"instance"`
	State    State  `json:"state"`

	// LeaseLeft is negative once the lease is over; nil for an instance that is
	// condemned or not registered.
	LeaseLeft *Millis `json:"lease_left_ms"`

	Host        string     `json:"host"` // "" where the instance has left no description
	PID         int        `json:"pid"`
	Version     string     `json:"version"`
	Concurrency int        `json:"concurrency"` // orders worked on at once
	InHand      int        `json:"in_hand"`     // messages
	Since       *time.Time `json:"since"`       // it joined, by Redis's clock
	Age         *Millis    `json:"age_ms"`
}

// Instances lists the workers. It asks Redis alone.
func (i *Inspector) Instances(ctx context.Context) ([]Instance, error) {
	p, err := i.take(ctx, func(redis.Pipeliner) {})
	if err != nil {
		return nil, fmt.Errorf("look into Redis: %w", err)
	}
	instances := []Instance{}
	for _, h := range p.workers {
		w := h.describe(p)
		one := Instance{
			Instance: w.Instance, State: w.State, LeaseLeft: w.LeaseLeft, Host: w.Host,
			Version: h.facts["version"], InHand: len(h.payloads),
		}
		one.PID, _ = strconv.Atoi(h.facts["pid"]) // 0 where it has not said
		one.Concurrency, _ = strconv.Atoi(h.facts["concurrency"])
		if since, ok := h.milliseconds("started_at"); ok {
			since = since.UTC()
			one.Since, one.Age = &since, millis(max(0, p.now.Sub(since)))
		}
		instances = append(instances, one)
	}
	return instances, nil
}
