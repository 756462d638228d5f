package provision

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// ids returns the wanted ids, -1 for one to leave as it is. A process that is
// not root cannot give files away, so it leaves both.
func (p *planner) ids(path string, o Owner) (uid, gid int, err error) {
	if self, _ := p.sys.Self(); self != 0 {
		return -1, -1, nil
	}
	if uid, err = p.id(path, "user", o.User, "/etc/passwd", p.sys.UserID); err != nil {
		return 0, 0, err
	}
	gid, err = p.id(path, "group", o.Group, "/etc/group", p.sys.GroupID)
	return uid, gid, err
}

func (p *planner) id(path, what, name, database string, live func(string) (int, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	where := "this host"
	if p.opt.Root != "" {
		where = filepath.Join(p.opt.Root, database)
		live = func(name string) (int, error) { return p.staged(database, name) }
	}
	id, err := live(name)
	if err == nil {
		return id, nil
	}
	return 0, &Problem{
		Code: CodeInvalid, Path: path,
		Message: fmt.Sprintf("%s of %s: no %s %q on %s", what, path, what, name, where),
		Hint:    fmt.Sprintf("create the %s first or give its number", what),
	}
}

// staged looks a name up in the staging directory's passwd(5) or group(5):
// both have the name in the first field and the number in the third.
func (p *planner) staged(database, name string) (int, error) {
	file, err := resolve(p.sys, p.opt.Root, database)
	if err != nil {
		return 0, err
	}
	content, err := p.sys.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			return strconv.Atoi(f[2])
		}
	}
	return 0, fs.ErrNotExist
}

// normalMode turns the octal bits 07000 of a mode into Go's own.
func normalMode(m fs.FileMode) fs.FileMode {
	out := m.Perm() | m&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	for bit, flag := range map[fs.FileMode]fs.FileMode{
		0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky,
	} {
		if m&bit != 0 {
			out |= flag
		}
	}
	return out
}

// octal prints a mode as chmod(1) takes it.
func octal(m fs.FileMode) string {
	m = normalMode(m)
	n := uint32(m.Perm())
	for bit, flag := range map[uint32]fs.FileMode{
		0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky,
	} {
		if m&flag != 0 {
			n |= bit
		}
	}
	return fmt.Sprintf("%04o", n)
}
