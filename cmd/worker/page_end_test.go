package main

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"fulfillment-worker/internal/config"
	"fulfillment-worker/internal/httpd"
	"fulfillment-worker/internal/metrics"
	"fulfillment-worker/internal/testenv"
)

// A look at a Redis that is silent takes two seconds, which a worker that stops has not.
func TestServeHTTP_endsWhileRedisIsSilent(t *testing.T) {
	t.Parallel()
	redis := testenv.OwnRedis(t)
	cfg, err := config.Load(func(name string) string {
		return map[string]string{"REDIS_URL": redis.URL(), "HTTP_ADDR": "127.0.0.1:0"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(cfg.HTTPAddr)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveHTTP(ctx, l, httpd.Server{Log: log}, metrics.New(metrics.Worker{}), cfg, log)
	}()
	page, err := http.Get("http://" + l.Addr().String() + "/live") // from now on it looks once a second
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	if err := redis.Pause(); err != nil {
		t.Fatal(err)
	}
	<-time.After(1100 * time.Millisecond) // the look under way began within a second, and takes two
	begin := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 700*time.Millisecond {
		t.Errorf("it ended %v later", took)
	}
}
