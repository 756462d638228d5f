package provision

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// backupSuffix names the one backup that Force keeps. Neither systemd nor
// sysctl reads such a name.
const backupSuffix = ".bak"

func (p *planner) planFiles() error {
	units := map[string]bool{}
	for _, u := range p.want.Units {
		if u.File != nil {
			units[u.File.Path] = true
		}
	}
	for _, f := range p.want.files() {
		before := len(p.steps)
		if err := p.file(f); err != nil {
			return err
		}
		if units[f.Path] && len(p.steps) > before {
			p.unitFiles = true
		}
	}
	return nil
}

// file plans one file after its parents.
func (p *planner) file(f File) error {
	if err := p.dir(filepath.Dir(f.Path), false); err != nil {
		return err
	}
	uid, gid, err := p.ids(f.Path, f.Owner)
	if err != nil {
		return err
	}
	name, _, err := p.claim(f.Path, false)
	if err != nil {
		return err
	}
	if !f.User {
		p.next.Files[f.Path] = []string{hash(f.Content)}
	}
	fresh := Attr{Mode: modeOr(f.Mode, 0o644), UID: uid, GID: gid}
	st, err := p.sys.Lstat(name)
	switch {
	case err != nil && !missing(err):
		return err
	case err != nil:
		p.putFile(f, name, ActionCreate, fresh, p.textDiff(f, ""))
	case st.Mode.IsRegular():
		return p.compareFile(f, name, st, fill(st, f.Mode, uid, gid))
	case st.Mode.Type() == fs.ModeSymlink:
		return p.linkedFile(f, name, st, fresh)
	default:
		return notA(f.Path, "file", st)
	}
	return nil
}

// putFile plans a file where there is none, or only a link.
func (p *planner) putFile(f File, name, action string, a Attr, diff []Diff) {
	what := []string{WhatContent, WhatMode}
	if p.foreign(a) {
		what = append(what, WhatOwner)
	}
	p.write(f, name, action, what, a, diff)
}

// compareFile plans for a regular file in place.
func (p *planner) compareFile(f File, name string, st Stat, a Attr) error {
	old, err := p.sys.ReadFile(name)
	if err != nil {
		return err
	}
	what := differs(st, a)
	diff := attrDiff(f.Path, st, a, what)
	a = p.settable(a)
	if bytes.Equal(old, f.Content) {
		if len(what) > 0 {
			p.add(step{
				change: f.change(ActionUpdate, what),
				diff:   diff,
				do:     func() error { return p.sys.SetAttr(name, a) },
			})
		}
		return nil
	}
	diff = append(p.textDiff(f, string(old)), diff...)
	if !f.User && !p.stored.knows(f.Path, old) {
		if err := p.drifted(f.Path, name, old, st, f.Secret, diff); err != nil {
			return err
		}
	}
	p.write(f, name, ActionUpdate, append([]string{WhatContent}, what...), a, diff)
	return nil
}

// linkedFile replaces a link by the file itself; what it leads to is not read
// or touched. The user's own link to the wanted content stays.
func (p *planner) linkedFile(f File, name string, st Stat, a Attr) error {
	if f.User && p.opt.Root == "" {
		if stays, err := p.leadsTo(name, f.Content); stays || err != nil {
			return err
		}
	}
	diff := p.textDiff(f, "")
	diff[0].Before = "symbolic link to " + st.Link + "\n"
	p.putFile(f, name, ActionUpdate, a, diff)
	return nil
}

// leadsTo tells whether a link leads to a file of that content, by a way on
// which this plan changes nothing.
func (p *planner) leadsTo(name string, content []byte) (bool, error) {
	ours, err := p.writable()
	if err != nil {
		return false, err
	}
	way := &trail{Reader: p.sys}
	target, err := resolve(way, "", name)
	if err != nil {
		return false, nil // a link in a circle, or to what cannot be looked at
	}
	for _, step := range way.names {
		if step != name && ours[step] {
			return false, nil
		}
	}
	b, err := p.sys.ReadFile(target)
	return err == nil && bytes.Equal(b, content), nil
}

// writable are the places of all files that this plan may write or remove.
func (p *planner) writable() (map[string]bool, error) {
	places := map[string]bool{}
	_, files := p.want.paths()
	for _, path := range files {
		name, err := p.disk(path)
		if err != nil {
			return nil, err
		}
		places[name], places[name+backupSuffix] = true, true
	}
	return places, nil
}

// trail notes what was looked at.
type trail struct {
	Reader
	names []string
}

func (t *trail) Lstat(name string) (Stat, error) {
	t.names = append(t.names, name)
	return t.Reader.Lstat(name)
}

// write plans the replacement of a file's content and what its service needs.
func (p *planner) write(f File, name, action string, what []string, a Attr, diff []Diff) {
	reason := f.Reason
	if reason == "" {
		reason = f.Path + " changed"
	}
	p.owe(f.Service, f.Effect, reason)
	p.add(step{
		change: f.change(action, what),
		diff:   diff,
		do:     func() error { return replace(p.sys, name, f.Content, a) },
	})
}

// owe is for a running host only: nothing runs in a staging directory.
func (p *planner) owe(service string, e Effect, reason string) {
	if p.opt.Root == "" {
		p.next.owe(p.opt.Service, service, e, reason)
	}
}

// drifted keeps a derived file that is not ours: as a reason to stop, or with
// Force in a backup. The backup of a secret is for its owner only.
func (p *planner) drifted(path, name string, old []byte, st Stat, secret bool, diff []Diff) error {
	p.drift = append(p.drift, path)
	p.drifts = append(p.drifts, diff...)
	a := p.settable(fill(st, 0, -1, -1))
	if secret {
		a.Mode &= 0o600
	}
	return p.backup(path+backupSuffix, name+backupSuffix, old, a, secret)
}

func (p *planner) backup(path, name string, old []byte, a Attr, secret bool) error {
	action := ActionUpdate
	switch st, err := p.sys.Lstat(name); {
	case err != nil && !missing(err):
		return err
	case err != nil:
		action = ActionCreate
	case st.Mode.IsDir():
		return notA(path, "file", st)
	case st.Mode.IsRegular():
		if kept, err := p.sys.ReadFile(name); err == nil && bytes.Equal(kept, old) {
			return nil
		}
	}
	p.add(step{
		change: Change{Kind: KindFile, Path: path, Action: action, What: []string{WhatContent}, Secret: secret},
		do:     func() error { return replace(p.sys, name, old, a) },
	})
	return nil
}

// planAbsent plans removals; what was edited by hand is kept like any other.
func (p *planner) planAbsent() error {
	for _, gone := range p.want.Absent {
		if err := p.absent(gone); err != nil {
			return err
		}
		delete(p.next.Files, gone.Path)
	}
	return nil
}

func (p *planner) absent(gone Absent) error {
	name, _, err := p.claim(gone.Path, false)
	if err != nil {
		return err
	}
	st, err := p.sys.Lstat(name)
	if err != nil {
		if missing(err) {
			return nil
		}
		return err
	}
	switch {
	case st.Mode.IsRegular():
		old, err := p.sys.ReadFile(name)
		if err != nil {
			return err
		}
		if !p.stored.knows(gone.Path, old) {
			if err := p.drifted(gone.Path, name, old, st, false, goneDiff(gone.Path)); err != nil {
				return err
			}
		}
	case st.Mode.Type() != fs.ModeSymlink:
		return notA(gone.Path, "file", st)
	}
	p.remove(gone, name)
	return nil
}

func (p *planner) remove(gone Absent, name string) {
	p.owe(gone.Service, gone.Effect, gone.Path+" removed")
	if strings.Contains(gone.Path, "/systemd/") {
		p.unitFiles = true
	}
	p.add(step{
		change: Change{Kind: KindFile, Path: gone.Path, Action: ActionRemove, What: []string{WhatContent}},
		diff:   goneDiff(gone.Path),
		do: func() error {
			return after(p.sys.Remove(name), func() error { return p.sys.SyncDir(filepath.Dir(name)) })
		},
	})
}

func (f File) change(action string, what []string) Change {
	kind := f.Kind
	if kind == "" {
		kind = KindFile
	}
	return Change{Kind: kind, Path: f.Path, Action: action, What: slices.Clone(what), Secret: f.Secret}
}
