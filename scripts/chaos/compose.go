package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"fulfillment-worker/internal/proxy"
	"fulfillment-worker/internal/rig"
)

// compose is compose.yaml under a name of its own, with the image that ships. Each
// worker's life is a container of its own, run from the service worker.
type compose struct {
	project  string
	override string // file that gives the servers a port and a network each
	vars     []string
	redis    *container
	postgres *container
	workers  []worker
}

const (
	composeDatabase = "postgres://%s:%s@%s/orders?sslmode=disable"
	twoNetworks     = `services:
  redis: {ports: ["127.0.0.1:%d:6379"], networks: [redis]}
  postgres: {ports: ["127.0.0.1:%d:5432"], networks: [postgres]}
  worker: {networks: [redis, postgres]}
networks: {redis: {}, postgres: {}}
`
)

// startCompose builds the image and starts everything.
func startCompose(ctx context.Context, p profile, follow func(event)) (_ environment, err error) {
	env := &compose{project: fmt.Sprintf("fulfillment-chaos-%d", os.Getpid())}
	env.vars = append([]string{
		"COMPOSE_PROJECT_NAME=" + env.project, "VERSION=chaos-" + strconv.Itoa(os.Getpid()), "COMPOSE_PROGRESS=quiet",
		"POSTGRES_PASSWORD=orders", "FULFILLMENT_WORKER_PASSWORD=fulfillment_worker",
	}, p.settings()...)
	defer func() {
		if err != nil {
			env.Close()
		}
	}()
	if err := env.wire(); err != nil {
		return nil, err
	}
	if _, err := env.compose(ctx, "build", "worker"); err != nil {
		return nil, err
	}
	if _, err := env.compose(ctx, "up", "--detach", "--wait", "--wait-timeout", "120", "redis", "postgres"); err != nil {
		return nil, err
	}
	for _, c := range []*container{env.redis, env.postgres} {
		id, err := env.compose(ctx, "ps", "--quiet", c.name)
		if err != nil {
			return nil, err
		}
		c.name = id
	}
	for n := range p.Workers {
		w := &place{env: env, name: fmt.Sprintf("worker-%d", n+1), follow: follow}
		env.workers = append(env.workers, w)
		if err := w.Start(""); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// wire chooses ports that stay the same when a container starts again.
func (e *compose) wire() error {
	redisPort, err := freePort()
	if err != nil {
		return err
	}
	postgresPort, err := freePort()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	e.override = filepath.Join(dir, "override.yaml")
	e.redis = &container{name: "redis", addr: fmt.Sprintf("127.0.0.1:%d", redisPort), answers: answersRedis}
	e.postgres = &container{name: "postgres", addr: fmt.Sprintf("127.0.0.1:%d", postgresPort), answers: answersPostgres}
	return os.WriteFile(e.override, fmt.Appendf(nil, twoNetworks, redisPort, postgresPort), 0o644)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (e *compose) compose(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "--file", "compose.yaml", "--file", e.override}, args...)...)
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "COMPOSE_") || strings.HasPrefix(v, "QUEUE_NAME=") })
	cmd.Env = append(inherited, e.vars...)
	return output(cmd)
}

func docker(args ...string) (string, error) { return output(exec.Command("docker", args...)) }

func output(cmd *exec.Cmd) (string, error) {
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(string(out)), err
}

func (e *compose) RedisURL() string { return "redis://" + e.redis.addr }
func (e *compose) DatabaseURL() string {
	return fmt.Sprintf(composeDatabase, "orders", "orders", e.postgres.addr)
}
func (e *compose) Redis() server     { return e.redis }
func (e *compose) Postgres() server  { return e.postgres }
func (e *compose) Workers() []worker { return e.workers }
func (e *compose) Can() need {
	return needWorkers | needNetworks | needServers | needBackends | needReconciler
}

func (e *compose) KillBackend(pid int) error {
	_, err := docker("exec", e.postgres.name, "kill", "-KILL", strconv.Itoa(pid))
	return err
}

// Close removes the containers, their volumes, networks and the image.
func (e *compose) Close() {
	for _, w := range e.workers {
		_, _ = docker("rm", "--force", w.(*place).containerName())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _ = e.compose(ctx, "--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "0", "--rmi", "local")
	_, _ = docker("image", "rm", "--force", "fulfillment-worker:chaos-"+strconv.Itoa(os.Getpid()))
	if e.override != "" { // there is none if the start failed early
		_ = os.RemoveAll(filepath.Dir(e.override))
	}
}

// container is a server in one.
type container struct {
	name    string
	addr    string
	answers func(ctx context.Context, addr string) error
}

func (c *container) Kill() { _, _ = docker("kill", "--signal", "KILL", c.name) }

func (c *container) Restart() error {
	if _, err := docker("start", c.name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return persist(ctx, "reach "+c.addr, func(ctx context.Context) error { return c.answers(ctx, c.addr) })
}

func (c *container) Pause() error {
	_, err := docker("pause", c.name)
	return err
}

func (c *container) Resume() error {
	_, err := docker("unpause", c.name)
	return err
}

func answersRedis(ctx context.Context, addr string) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer rdb.Close()
	return rdb.Ping(ctx).Err()
}

func answersPostgres(ctx context.Context, addr string) error {
	conn, err := pgx.Connect(ctx, fmt.Sprintf(composeDatabase, "orders", "orders", addr))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// place is a place of a worker that is a container.
type place struct {
	env    *compose
	name   string
	follow func(event)

	mu    sync.Mutex
	life  int
	ended chan struct{}
	code  int
}

func (p *place) Name() string { return p.name }

func (p *place) Life() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s.%d", p.name, p.life)
}

func (p *place) containerName() string { return p.env.project + "-" + p.Life() }

// Start runs a new container. Crash points are not in the image that ships.
func (p *place) Start(crashPoint string) error {
	if crashPoint != "" {
		return errors.New("the image has no crash points")
	}
	if p.life > 0 {
		_, _ = docker("rm", "--force", p.containerName())
	}
	p.mu.Lock()
	p.life++
	p.ended = make(chan struct{})
	gone := p.ended
	p.mu.Unlock()
	life := p.Life()
	database := fmt.Sprintf(composeDatabase, "fulfillment_worker", "fulfillment_worker", "postgres") + "&application_name=" + life
	_, err := p.env.compose(context.Background(), "run", "--detach", "--no-deps", "--name", p.containerName(),
		"--env", "WORKER_ID="+p.name, "--env", "DATABASE_URL="+database, "worker")
	if err != nil {
		return err
	}
	p.follow(event{what: started, actor: life, at: time.Now()})
	name := p.containerName()
	go p.read(name, life)
	go p.await(name, life, gone)
	return nil
}

// read follows the log as long as the container lives.
func (p *place) read(name, life string) {
	cmd := exec.Command("docker", "logs", "--follow", name)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return
	}
	rig.Follow(p.name, out, func(l rig.Line) { p.follow(heard(life, l)) })
	_ = cmd.Wait()
}

func (p *place) await(name, life string, gone chan struct{}) {
	out, err := docker("wait", name)
	code, convErr := strconv.Atoi(out)
	if err != nil || convErr != nil {
		code = -1
	}
	if code == 137 { // 128 and SIGKILL
		code = -1
	}
	p.mu.Lock()
	p.code = code
	p.mu.Unlock()
	p.follow(event{what: ended, actor: life, at: time.Now(), code: code})
	close(gone)
}

func (p *place) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func (p *place) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code
}

func (p *place) do(verb ...string) error {
	_, err := docker(append(verb, p.containerName())...)
	return err
}

func (p *place) Kill() error {
	gone := p.Ended()
	err := p.do("kill", "--signal", "KILL")
	<-gone
	return err
}

func (p *place) Terminate() error  { return p.do("kill", "--signal", "TERM") }
func (p *place) Freeze() error     { return p.do("pause") }
func (p *place) Thaw() error       { return p.do("unpause") }
func (p *place) Redis() network    { return dockerNetwork{p, "redis"} }
func (p *place) Postgres() network { return dockerNetwork{p, "postgres"} }

// dockerNetwork is the network that a worker shares with one server alone.
type dockerNetwork struct {
	place *place
	name  string
}

func (n dockerNetwork) Proxy() *proxy.Proxy { return nil }

func (n dockerNetwork) Cut() error {
	_, err := docker("network", "disconnect", n.place.env.project+"_"+n.name, n.place.containerName())
	return err
}

// Mend counts the cut as one: a container without a network holds no bytes up.
func (n dockerNetwork) Mend() (int, error) {
	_, err := docker("network", "connect", n.place.env.project+"_"+n.name, n.place.containerName())
	return 1, err
}
