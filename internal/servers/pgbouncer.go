package servers

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// PgBouncer is a private PgBouncer: a pooler between clients and a [Postgres].
type PgBouncer struct {
	server
}

// StartPgBouncer starts a PgBouncer whose configuration and log are in dir, as pgbouncer.ini
// and pgbouncer.log. It lets everybody in, and connects as that role to the PostgreSQL at
// target, host:port. It pools by transactions, unless a setting, as in "pool_mode=session",
// says otherwise.
//
// PgBouncer refuses root, as [StartPostgres] says of PostgreSQL.
func StartPgBouncer(dir, target, role string, settings ...string) (*PgBouncer, error) {
	path, err := binary("pgbouncer")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	owner, err := insteadOfRoot("PgBouncer", dir)
	if err != nil {
		return nil, err
	}
	ini := filepath.Join(dir, "pgbouncer.ini")
	b := &PgBouncer{server{name: "PgBouncer", log: filepath.Join(dir, "pgbouncer.log"), stop: syscall.SIGTERM}}
	b.configure = func() error {
		return os.WriteFile(ini, pgBouncerINI(b.port, host, port, role, settings), 0o644) // its user reads it
	}
	b.command = func() *exec.Cmd {
		cmd := exec.Command(path, ini)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		return cmd
	}
	b.ready = func(_ int, log string) bool { return strings.Contains(log, "process up:") }
	if err := b.start(); err != nil {
		return nil, err
	}
	return b, nil
}

// pgBouncerINI is the text of its file. Of two lines that set the same the later wins.
func pgBouncerINI(listen int, host, port, role string, settings []string) []byte {
	lines := []string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%s user=%s", host, port, role),
		"[pgbouncer]", "pool_mode=transaction", "auth_type=any",
		"listen_addr=127.0.0.1", "listen_port=" + strconv.Itoa(listen), "unix_socket_dir=",
	}
	return []byte(strings.Join(append(lines, settings...), "\n") + "\n")
}

// URL turns the URL of a database behind it into one through it.
func (b *PgBouncer) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		panic(err) // [Postgres.URL] made it
	}
	u.Host = b.Addr()
	return u.String()
}
