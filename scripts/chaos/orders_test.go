package main

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestLetters(t *testing.T) {
	t.Parallel()
	letter := func(payload string) redis.XMessage {
		return redis.XMessage{Values: map[string]any{"payload": payload, "reason": "malformed"}}
	}
	l := &letters{forgot: noon(100), pushed: map[string]pushed{
		"before Redis forgot": {noon(50), true},
		"buried":              {noon(200), true},
		"buried twice":        {noon(200), true},
		"nowhere":             {noon(200), true},
		"never sure":          {noon(200), false},
		"deleted":             {noon(200), true},
	}}
	p := &producer{letters: letters{pushed: l.pushed}}
	p.forgotten("deleted", "somebody else's")
	b := l.count([]redis.XMessage{letter("buried"), letter("buried twice"), letter("buried twice"), letter("a good one")})
	if b.Pushed != 4 || b.Buried != 4 || b.Missing != 1 || b.Doubled.Count != 1 || b.Strange.Count != 1 {
		t.Errorf("the account is %+v", b)
	}
	p.forgotten()
	if p.letters.forgot.IsZero() {
		t.Error("that Redis forgot all is not noted")
	}
}
