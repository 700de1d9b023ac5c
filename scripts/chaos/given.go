package main

import (
	"errors"
)

// given is an environment that runs already, and goes on afterwards: its servers are let
// live, and its workers are not ours.
type given struct{ redisURL, databaseURL string }

func (g given) RedisURL() string      { return g.redisURL }
func (g given) DatabaseURL() string   { return g.databaseURL }
func (g given) Redis() server         { return nil }
func (g given) Postgres() server      { return nil }
func (g given) Workers() []worker     { return nil }
func (g given) Can() need             { return needReconciler }
func (g given) KillBackend(int) error { return errors.New("its processes are not ours") }
func (g given) Close()                {}
