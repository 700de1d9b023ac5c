package queue

import (
	"context"
	_ "embed"
	"time"

	"fulfillment-worker/internal/metrics"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/strays.lua
var straysLua string

//go:embed lua/release.lua
var releaseLua string

var (
	straysScript  = redis.NewScript(straysLua)
	releaseScript = redis.NewScript(releaseLua)
)

// audit looks whether the own list holds more than the worker knows of, which is
// what a lost reply leaves behind, and whether the queue is paused. No claim is under way
// meanwhile: what it finds is a stray for sure.
func (s *session) audit(ctx context.Context) {
	s.claims.Lock()
	defer s.claims.Unlock()
	ctx, cancel := bounded(ctx)
	defer cancel()
	known := s.inHand() // before the look: what is settled meanwhile only leaves the lists
	if s.quiet(ctx, known) {
		s.setPaused(ctx, false)
		return
	}
	var paused *redis.IntCmd
	lengths := make([]*redis.IntCmd, len(s.lanes))
	_, err := s.rdb.control.Pipelined(ctx, func(p redis.Pipeliner) error {
		paused = p.Exists(ctx, s.keys.Paused())
		for i, l := range s.lanes {
			lengths[i] = p.LLen(ctx, l.key)
		}
		return nil
	})
	if err != nil { // that it only reads well says nothing
		s.cfg.Metrics.Found(metrics.RedisServer, err)
		s.log.DebugContext(ctx, "audit failed", "error", err)
		return
	}
	s.setPaused(ctx, paused.Val() == 1)
	for i, length := range lengths {
		if length.Val() > int64(known[i]) {
			err = s.adoptStraysOf(ctx, s.lanes[i])
		}
		if err != nil {
			s.log.DebugContext(ctx, "audit failed", "error", err)
			return
		}
	}
}

// quiet reports whether there is nothing to find: an idle worker learns that by one command.
func (s *session) quiet(ctx context.Context, known []int) bool {
	keys := []string{s.keys.Paused()}
	for i, l := range s.lanes {
		if known[i] > 0 {
			return false
		}
		keys = append(keys, l.key)
	}
	found, err := s.rdb.control.Exists(ctx, keys...).Result()
	return err == nil && found == 0
}

// inHand is how many messages the worker knows to be in each lane.
func (s *session) inHand() []int {
	known := make([]int, len(s.lanes))
	for i, l := range s.lanes {
		known[i] = l.size()
	}
	return known
}

func (s *session) setPaused(ctx context.Context, paused bool) {
	if paused != s.paused {
		s.paused = paused
		s.log.InfoContext(ctx, map[bool]string{true: "claiming is paused", false: "claiming is resumed"}[paused])
	}
}

// adoptStrays takes in hand what the own lists hold and the worker does not know
// of, charged nothing. What finds no slot goes back to the queue's front.
func (s *session) adoptStrays(ctx context.Context) error {
	for _, l := range s.lanes {
		if err := s.adoptStraysOf(ctx, l); err != nil {
			return err
		}
	}
	s.unsure = false
	return nil
}

func (s *session) adoptStraysOf(ctx context.Context, l *lane) error {
	known := l.payloads()
	if s.live.Err() != nil {
		return nil // what handlers gave up is in the list and in no hand: leave hands it back
	}
	held, err := s.list(ctx, l)
	if err != nil {
		return err
	}
	s.asked = time.Now()
	for _, payload := range held { // newest first, so that the oldest released ends up in front
		if known[payload] > 0 {
			known[payload]--
			continue
		}
		if s.takeSlots(1) == 1 {
			s.log.WarnContext(ctx, "adopted a stray: the reply to its claim was lost", "digest", Digest([]byte(payload)))
			s.cfg.Metrics.Adopted()
			s.dispatch(s.delivery(l, payload))
			continue
		}
		if err := s.putBack(ctx, l, payload); err != nil {
			return err
		}
	}
	return nil
}

// list is what a lane holds, newest first, without what is too long to be read: that is a
// dead letter now.
func (s *session) list(ctx context.Context, l *lane) ([]string, error) {
	answer, err := s.run(ctx, straysScript,
		[]string{l.key, s.keys.Deliveries(), s.keys.Returned(), s.keys.Dead(), s.keys.Events()},
		s.instance, s.cfg.MaxMessageBytes,
	).Slice()
	if err != nil {
		return nil, err
	}
	held, buried := texts(answer[0]), texts(answer[1])
	for ; len(buried) > 0; buried = buried[2:] {
		s.cfg.Metrics.Dead(string(TooLarge), 1)
		s.log.ErrorContext(ctx, "message is a dead letter", "digest", buried[0], "reason", TooLarge, "error", buried[1])
	}
	return held, nil
}

// texts is an array of strings in a script's answer.
func texts(array any) []string {
	texts := array.([]any)
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = text.(string)
	}
	return all
}

func (s *session) putBack(ctx context.Context, l *lane, payload string) error {
	s.log.WarnContext(ctx, "released a stray: the reply to its claim was lost, and no slot is free", "digest", Digest([]byte(payload)))
	s.cfg.Metrics.Released()
	return s.run(ctx, releaseScript, []string{l.key, s.keys.Queue()}, payload).Err()
}
