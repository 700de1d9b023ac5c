package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"fulfillment-worker/internal/proxy"
	"fulfillment-worker/internal/rig"
)

// processes are plain processes of this machine: the real worker, each with a proxy to
// each server, a Redis and a PostgreSQL.
type processes struct {
	rig     *rig.Rig
	workers []worker
}

// startProcesses starts everything. Follow gets each event of the workers' logs.
func startProcesses(ctx context.Context, p profile, follow func(event)) (_ environment, err error) {
	env := &processes{}
	defer func() {
		if err != nil {
			env.Close()
		}
	}()
	if env.rig, err = rig.New(ctx); err != nil {
		return nil, err
	}
	if err := env.rig.BuildCrashing(ctx); err != nil {
		return nil, err
	}
	for n := range p.Workers {
		w := &process{name: fmt.Sprintf("worker-%d", n+1), rig: env.rig, settings: p.settings(), follow: follow}
		env.workers = append(env.workers, w)
		if err := w.wire(); err != nil {
			return nil, err
		}
		if err := w.Start(""); err != nil {
			return nil, err
		}
	}
	return env, nil
}

func (e *processes) RedisURL() string    { return e.rig.Redis.URL() }
func (e *processes) DatabaseURL() string { return e.rig.DatabaseURL() }
func (e *processes) Redis() server       { return e.rig.Redis }
func (e *processes) Postgres() server    { return e.rig.Postgres }
func (e *processes) Workers() []worker   { return e.workers }

func (e *processes) Can() need {
	return needWorkers | needCrashes | needNetworks | needProxies | needServers | needFiles | needBackends | needReconciler
}

func (e *processes) KillBackend(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

func (e *processes) Close() {
	if e.rig != nil {
		e.rig.Close()
	}
	for _, w := range e.workers {
		w.(*process).unwire()
	}
}

// process is a place of a worker that is a process.
type process struct {
	name            string
	rig             *rig.Rig
	settings        []string
	follow          func(event)
	redis, postgres wire

	mu   sync.Mutex
	life int
	now  *rig.Worker
}

// wire puts the proxies up: they outlive the worker.
func (p *process) wire() (err error) {
	if p.redis.proxy, err = proxy.New(p.rig.Redis.Addr()); err != nil {
		return err
	}
	p.postgres.proxy, err = proxy.New(p.rig.Postgres.Addr())
	return err
}

func (p *process) unwire() {
	for _, w := range []wire{p.redis, p.postgres} {
		if w.proxy != nil {
			w.proxy.Close()
		}
	}
}

func (p *process) Name() string { return p.name }

func (p *process) Life() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s.%d", p.name, p.life)
}

// Start tells PostgreSQL the name of the life, which the audit notes.
func (p *process) Start(crashPoint string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life++
	life := fmt.Sprintf("%s.%d", p.name, p.life)
	settings := append([]string{
		"REDIS_URL=redis://" + p.redis.proxy.Addr(),
		"DATABASE_URL=" + throughProxy(p.rig.WorkerURL(), p.postgres.proxy.Addr(), life),
	}, p.settings...)
	start := p.rig.Start
	if crashPoint != "" {
		start = p.rig.StartCrashing
		settings = append(settings, "CRASHPOINT="+crashPoint)
	}
	now, err := start(p.name, func(l rig.Line) { p.follow(heard(life, l)) }, settings...)
	if err != nil {
		return err
	}
	p.now = now
	p.follow(event{what: started, actor: life, at: time.Now()})
	go func() {
		<-now.Ended()
		p.follow(event{what: ended, actor: life, at: time.Now(), code: now.ExitCode()})
	}()
	return nil
}

func throughProxy(databaseURL, addr, life string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err) // package rig made it
	}
	u.Host = addr
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&application_name="+url.QueryEscape(life), "&")
	return u.String()
}

func (p *process) current() *rig.Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *process) Kill() error {
	p.current().Kill()
	return nil
}

func (p *process) Terminate() error       { return p.current().Signal(syscall.SIGTERM) }
func (p *process) Ended() <-chan struct{} { return p.current().Ended() }
func (p *process) ExitCode() int          { return p.current().ExitCode() }
func (p *process) Freeze() error          { return p.current().Signal(syscall.SIGSTOP) }
func (p *process) Thaw() error            { return p.current().Signal(syscall.SIGCONT) }
func (p *process) Redis() network         { return &p.redis }
func (p *process) Postgres() network      { return &p.postgres }

// wire is a network that is a proxy.
type wire struct {
	proxy *proxy.Proxy
	held  int // before the cut
}

func (w *wire) Proxy() *proxy.Proxy { return w.proxy }

func (w *wire) Cut() error {
	w.held = w.proxy.Held()
	w.proxy.Deafen()
	return nil
}

func (w *wire) Mend() (int, error) {
	w.proxy.Hear()
	return w.proxy.Held() - w.held, nil
}
