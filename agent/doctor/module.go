package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"syncagent/agent/config"
)

// module judges a directory that is received into; usable says that the daemon
// can serve it at all.
func (s *slave) module(ctx context.Context, m config.ReceiverModule) (list []Finding, usable bool) {
	a := about{"module", m.Name}
	if why := s.outOfService(m.Name); why != "" {
		return []Finding{a.fail("do that on this host; the module then comes back by itself", "out of service: %s", why)}, false
	}
	uid, gid, err := s.writer(m)
	if err != nil {
		return []Finding{a.fail("create the account, or name another under uid and gid", "%v", err)}, false
	}
	type view struct {
		real string
		err  error
	}
	v, err := within(ctx, s.Patience, func() (view, error) {
		real, err := filepath.EvalSymlinks(m.Path)
		if err != nil {
			return view{}, err
		}
		return view{real, s.mayWrite(real, uid, gid)}, nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{a.fail("run \"agent init slave\", or mount what belongs there", "directory %s does not exist", m.Path)}, false
	case err != nil:
		return []Finding{a.fail(lookRemedy(m.Path, err), "%v", err)}, false
	case v.err != nil && !(m.ReadOnly && errors.Is(v.err, fs.ErrPermission)):
		return []Finding{a.fail(remedyOf(m.Path, v.err), "uid %d writes there: %v", uid, v.err)}, !errors.Is(v.err, syscall.ENOTDIR)
	}
	return []Finding{s.judgeModule(ctx, a, m, place(m.Path, v.real), uid), s.disk(ctx, m.Path)}, true
}

func (s *slave) judgeModule(ctx context.Context, a about, m config.ReceiverModule, where string, uid int) Finding {
	space, err := within(ctx, s.Patience, func() (Space, error) { return s.System.Space(m.Path) })
	kind := kindOf(space.Type)
	switch {
	case err != nil:
		return a.fail("look at the mount: its server or disk may be gone", "%v", err)
	case space.ReadOnly:
		return a.fail(remedyOf(m.Path, syscall.EROFS), "%s: its file system (%s) is mounted read-only", where, kind.name)
	case kind.poor:
		return a.warn("use a file system that keeps owners, modes and links", "%s lies on %s, which cannot keep all of a tree", where, kind.name)
	case m.ReadOnly:
		return a.warn("set read_only: false for the module, if a master is to push into it", "%s is read only: no master can push into it", where)
	}
	return a.ok("%s (%s), written by uid %d", where, kind.name, uid)
}

// writer is whom the daemon's processes become in a module.
func (s *slave) writer(m config.ReceiverModule) (uid, gid int, err error) {
	if !s.asRoot() {
		return s.owner, -1, nil
	}
	uid, err = number(m.UID, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("this host has no user %q", name)
		}
		return u.Uid, nil
	})
	if err != nil {
		return 0, 0, err
	}
	gid, err = number(m.GID, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", fmt.Errorf("this host has no group %q", name)
		}
		return g.Gid, nil
	})
	return uid, gid, err
}

// number is the id of an account, which may stand as a number already; "" is
// root.
func number(account string, lookup func(string) (string, error)) (int, error) {
	if account == "" || account == "root" {
		return 0, nil
	}
	if n, err := strconv.Atoi(account); err == nil {
		return n, nil
	}
	id, err := lookup(account)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(id)
}

// mayWrite reports why uid could not create entries in dir. The kernel is asked
// where it can be; for another user only owner and mode are known.
func (s *slave) mayWrite(dir string, uid, gid int) error {
	if uid == s.self {
		return writable(dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "write into", Path: dir, Err: syscall.ENOTDIR}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if uid == 0 || !ok || bitsAllow(st, uid, gid) {
		return nil
	}
	return &fs.PathError{Op: "write into", Path: dir, Err: syscall.EACCES}
}

// bitsAllow applies the permission bits for writing and entering (inode(7)).
func bitsAllow(st *syscall.Stat_t, uid, gid int) bool {
	const writeAndEnter = 0o3
	shift := 0
	switch {
	case int(st.Uid) == uid:
		shift = 6
	case int(st.Gid) == gid:
		shift = 3
	}
	return st.Mode>>shift&writeAndEnter == writeAndEnter
}

func (s *slave) outOfService(module string) string {
	if s.Out == nil {
		return ""
	}
	return s.Out(s.c)[module]
}
