package servers

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// insteadOfRoot is as whom a server runs that refuses root, and needs to enter dir: the
// user postgres, or else nobody. It is nil where this process is not root's.
func insteadOfRoot(server, dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("%s refuses root, and there is neither a user postgres nor nobody: %w", server, err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, err
	}
	closed, err := closedTo(uint32(uid), dir)
	if err == nil && closed != "" {
		err = fmt.Errorf("%s refuses root, and the user %s may not enter %s", server, u.Username, closed)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// closedTo says which directory keeps that user from dir, "" for none: the servers' own
// messages do not.
func closedTo(uid uint32, dir string) (string, error) {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if ok && info.Mode()&0o001 == 0 && stat.Uid != uid {
			return dir, nil
		}
	}
	return "", nil
}
