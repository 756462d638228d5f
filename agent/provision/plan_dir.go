package provision

import (
	"fmt"
	"io/fs"
	"path/filepath"
)

func (p *planner) planDirs() error {
	if err := p.dir(p.want.StateDir, true); err != nil {
		return err
	}
	for _, d := range p.want.Dirs {
		if err := p.dir(d.Path, false); err != nil {
			return err
		}
	}
	return nil
}

// dir plans one directory after its parents, each once.
func (p *planner) dir(path string, early bool) error {
	if p.planned[path] {
		return nil
	}
	p.planned[path] = true
	if path != "/" {
		if err := p.dir(filepath.Dir(path), early); err != nil {
			return err
		}
	}
	d, listed := p.wantedDir(path)
	uid, gid, err := p.ids(path, d.Owner)
	if err != nil {
		return err
	}
	name, known, err := p.claim(path, !listed)
	if err != nil || known {
		return err
	}
	st, err := p.sys.Lstat(name)
	switch {
	case err != nil && !missing(err):
		return err
	case err != nil:
		p.makeDir(d, name, Attr{Mode: modeOr(d.Mode, 0o755), UID: uid, GID: gid}, early)
		return nil
	case st.Mode.IsDir():
		p.repairDir(d, name, st, fill(st, d.Mode, uid, gid), early)
		return nil
	case st.Mode.Type() == fs.ModeSymlink:
		return p.linkedDir(d)
	}
	return notA(path, "directory", st)
}

// wantedDir returns the listed directory, or what a parent must be.
func (p *planner) wantedDir(path string) (d Dir, listed bool) {
	if d, ok := p.dirs[path]; ok {
		return d, true
	}
	d = Dir{Path: path, Mode: 0o755, OwnerOnCreate: true}
	if path == p.want.StateDir {
		d.Mode = 0o700
	}
	return d, false
}

// linkedDir accepts a link that leads to a directory, as administrators make
// them, but not in place of a directory whose mode protects what is in it.
func (p *planner) linkedDir(d Dir) error {
	if !d.OwnerOnCreate || p.inManaged(d.Path) {
		return &Problem{
			Code: CodeSymlink, Path: d.Path,
			Message: fmt.Sprintf("%s is a symbolic link where a directory of ours is wanted", d.Path),
			Hint:    "put a real directory there",
		}
	}
	target, err := resolve(p.sys, p.opt.Root, d.Path)
	if err != nil {
		return err
	}
	if st, err := p.sys.Lstat(target); err == nil && st.Mode.IsDir() {
		return nil
	}
	return &Problem{
		Code: CodeType, Path: d.Path,
		Message: fmt.Sprintf("%s is a symbolic link that leads to no directory", d.Path),
		Hint:    "create its target or remove the link",
	}
}

// inManaged tells whether a listed directory that we keep in order is above.
func (p *planner) inManaged(path string) bool {
	for path != "/" {
		path = filepath.Dir(path)
		if d, ok := p.dirs[path]; ok && !d.OwnerOnCreate {
			return true
		}
	}
	return false
}

func (p *planner) makeDir(d Dir, name string, a Attr, early bool) {
	what := []string{WhatMode}
	if p.foreign(a) {
		what = append(what, WhatOwner)
	}
	after := attrs(d.Path, a)
	after["state"] = "directory"
	p.add(step{
		change: Change{Kind: KindDirectory, Path: d.Path, Action: ActionCreate, What: what},
		diff:   pair(d.Path, map[string]any{"path": d.Path, "state": "absent"}, after),
		early:  early,
		do:     func() error { return makeDir(p.sys, name, a) },
	})
}

func (p *planner) repairDir(d Dir, name string, st Stat, a Attr, early bool) {
	what := differs(st, a)
	if d.OwnerOnCreate || len(what) == 0 {
		return
	}
	p.add(step{
		change: Change{Kind: KindDirectory, Path: d.Path, Action: ActionUpdate, What: what},
		diff:   attrDiff(d.Path, st, a, what),
		early:  early,
		do:     func() error { return p.sys.SetAttr(name, p.settable(a)) },
	})
}

// foreign tells whether an owner other than the process's own is set.
func (p *planner) foreign(a Attr) bool {
	uid, gid := p.sys.Self()
	return a.UID >= 0 && a.UID != uid || a.GID >= 0 && a.GID != gid
}

func modeOr(m, otherwise fs.FileMode) fs.FileMode {
	if m == 0 {
		m = otherwise
	}
	return normalMode(m)
}

// fill completes wanted attributes by those that are there.
func fill(st Stat, mode fs.FileMode, uid, gid int) Attr {
	a := Attr{Mode: modeOr(mode, st.Mode), UID: st.UID, GID: st.GID}
	if uid >= 0 {
		a.UID = uid
	}
	if gid >= 0 {
		a.GID = gid
	}
	return a
}

// settable leaves out what only root can set, even to what it is already.
func (p *planner) settable(a Attr) Attr {
	if uid, _ := p.sys.Self(); uid != 0 {
		a.UID, a.GID = -1, -1
	}
	return a
}

// differs returns which of mode and owner are not as wanted.
func differs(st Stat, a Attr) []string {
	var what []string
	if normalMode(st.Mode) != a.Mode {
		what = append(what, WhatMode)
	}
	if st.UID != a.UID || st.GID != a.GID {
		what = append(what, WhatOwner)
	}
	return what
}

func notA(path, wanted string, st Stat) error {
	found := "special file"
	switch {
	case st.Mode.IsDir():
		found = "directory"
	case st.Mode.IsRegular():
		found = "file"
	}
	return &Problem{
		Code: CodeType, Path: path,
		Message: fmt.Sprintf("%s is a %s where a %s is wanted", path, found, wanted),
		Hint:    "move it away",
	}
}
