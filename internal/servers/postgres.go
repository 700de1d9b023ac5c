package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Postgres is a private PostgreSQL server.
type Postgres struct {
	server
}

// StartPostgres starts a PostgreSQL whose data and log are in dir, as postgres/ and
// postgres.log; it makes a new cluster unless there is one. The superuser is
// postgres, and nobody needs a password. Each setting is a line of the server's
// configuration, as in "fsync=off".
//
// PostgreSQL refuses to run as root: root runs it as the user postgres, or else
// nobody, who must be able to enter dir. [TempDir] makes such a directory.
func StartPostgres(dir string, settings ...string) (*Postgres, error) {
	initdb, postgres, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	c := cluster{data: filepath.Join(dir, "postgres")}
	if err := c.make(initdb); err != nil {
		return nil, err
	}
	p := &Postgres{server{name: "PostgreSQL", log: filepath.Join(dir, "postgres.log"), stop: syscall.SIGINT}}
	p.command = func() *exec.Cmd { return c.command(postgres, append(c.args(p.port), flags(settings)...)...) }
	p.ready = func(pid int, _ string) bool { return c.ready(pid) }
	p.swept = c.sweep
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// URL is where the superuser connects to that database.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", p.Addr(), database)
}

// postgresBinaries finds two programs of one installation: initdb may stand in PATH
// as a link, alone.
func postgresBinaries() (initdb, postgres string, err error) {
	if initdb, err = binary("initdb"); err != nil {
		return "", "", err
	}
	if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
		return "", "", err
	}
	postgres = filepath.Join(filepath.Dir(initdb), "postgres")
	if _, err := os.Stat(postgres); err != nil {
		return "", "", missing(postgres)
	}
	return initdb, postgres, nil
}

// cluster is a data directory and the user who owns it.
type cluster struct {
	data  string
	owner *syscall.Credential // nil where this process's own user will do
}

// make creates the cluster unless it is there.
func (c *cluster) make(initdb string) error {
	if err := os.MkdirAll(filepath.Dir(c.data), 0o711); err != nil {
		return err
	}
	var err error
	if c.owner, err = insteadOfRoot("PostgreSQL", filepath.Dir(c.data)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.data, "PG_VERSION")); err == nil {
		return nil
	}
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return err
	}
	if c.owner != nil {
		if err := os.Chown(c.data, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return err
		}
	}
	cmd := c.command(initdb, "--pgdata", c.data, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	attach(cmd)
	runtime.LockOSThread() // see spawn
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w; it said:\n%s", err, lastLines(string(out), 15))
	}
	return nil
}

// command is a program of PostgreSQL's, run as the owner. The variables by which
// libpq and the server can be configured are kept from it.
func (c *cluster) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = c.data
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return cmd
}

func (c *cluster) args(port int) []string {
	return append([]string{"-D", c.data}, flags([]string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=",        // a path in a deep directory would be too long for one
		"dynamic_shared_memory_type=mmap", // in the data directory: a crash leaves none in /dev/shm
		"logging_collector=off",
		"max_connections=200",
	})...)
}

func flags(settings []string) []string {
	var args []string
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// lock reads postmaster.pid, by which the server tells its state. The lines are:
// process id, data, start, port, socket, address, shared memory, state.
func (c *cluster) lock() (lines [8]string) {
	b, _ := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	copy(lines[:], strings.Split(string(b), "\n"))
	return lines
}

// ready reports whether the server with that process id accepts connections. A
// dead server's file may still be there.
func (c *cluster) ready(pid int) bool {
	lines := c.lock()
	return lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready"
}

// sweep removes the few bytes of System V shared memory that a killed server leaves
// to the next start: there may be none, and their number in a system is limited.
func (c *cluster) sweep() {
	lines := c.lock()
	if f := strings.Fields(lines[6]); len(f) == 2 {
		_ = exec.Command("ipcrm", "--shmem-id", f[1]).Run()
		_ = os.Remove(filepath.Join(c.data, "postmaster.pid"))
	}
}
