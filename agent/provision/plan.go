package provision

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Files of ours in the state directory. The record holds hashes of secrets, so
// neither is readable by others.
const (
	lockName   = "init.lock"
	recordName = "init.json"
)

var errRecordVersion = errors.New("not a record of version 1")

// step is one change of a plan; a step without a Kind is not reported.
type step struct {
	change Change
	diff   []Diff
	// early steps are those of the state directory, which the lock needs.
	early bool
	// late steps are those of the service manager, after the lock is given back.
	late bool
	do   func() error
}

// plan is what stands between a host and its wanted state.
type plan struct {
	steps    []step
	drift    []string // paths of derived files edited by hand
	drifts   []Diff
	stored   record // as read
	next     record // after the steps, still owing what the services need
	done     record // after the services had it
	sweep    []string
	reload   bool // with no manager to do it
	restart  bool
	reasons  []string
	warnings []string
}

// writes tells whether carrying the plan out would write anything but leftovers.
func (p *plan) writes() bool {
	return len(p.steps) > 0 || !p.stored.equal(p.done)
}

// planner compares a host with its wanted state. It only reads.
type planner struct {
	sys  System
	want Desired
	opt  Options
	plan

	dirs      map[string]Dir  // wanted, by path
	planned   map[string]bool // directories already looked at
	places    map[string]claimed
	unitFiles bool // the manager must read its files again
}

func newPlan(ctx context.Context, sys System, want Desired, opt Options) (*plan, error) {
	p := &planner{sys: sys, want: want, opt: opt, dirs: map[string]Dir{}, planned: map[string]bool{}, places: map[string]claimed{}}
	for _, d := range want.Dirs {
		p.dirs[d.Path] = d
	}
	if err := p.read(); err != nil {
		return nil, err
	}
	for _, part := range []func() error{p.planDirs, p.planFiles, p.planAbsent, p.findLeftovers} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	p.done = p.next.settled(opt.Service, p.owed())
	if len(p.drift) > 0 && !opt.Force {
		return &p.plan, p.driftProblem()
	}
	return &p.plan, p.planServices(ctx)
}

// read loads the record. One that cannot be understood counts as none, which
// at worst reports a file as edited by hand.
func (p *planner) read() (err error) {
	var warning string
	p.stored, warning, err = loadRecord(p.sys, p.opt.Root, p.want.StateDir)
	if warning != "" {
		p.warnings = append(p.warnings, warning)
	}
	p.next = p.stored.clone()
	return err
}

func loadRecord(r Reader, root, dir string) (rec record, warning string, err error) {
	name, err := onDisk(r, root, filepath.Join(dir, recordName))
	if err != nil {
		return newRecord(), "", err
	}
	b, err := r.ReadFile(name)
	switch {
	case err != nil && missing(err):
		return newRecord(), "", nil
	case err != nil:
		return newRecord(), "", err
	}
	if rec, err = parseRecord(b); err != nil {
		warning = fmt.Sprintf("%s is not readable (%v): it is written anew", name, err)
	}
	return rec, warning, nil
}

// disk returns where a path of the wanted state is on this host.
func (p *planner) disk(path string) (string, error) {
	return onDisk(p.sys, p.opt.Root, path)
}

// onDisk follows links in all but the last component, so that one place has
// one name.
func onDisk(r Reader, root, path string) (string, error) {
	dir, err := resolve(r, root, filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// claimed is a path that was planned; only parents that nobody listed may be
// reached by several.
type claimed struct {
	path   string
	parent bool
}

// claim returns where path is on this host, and whether it is a parent that
// was planned by another path. Two wanted entries at one place would undo each
// other in every run.
func (p *planner) claim(path string, parent bool) (name string, known bool, err error) {
	if name, err = p.disk(path); err != nil {
		return "", false, err
	}
	was, known := p.places[name]
	if known && was.path != path && !(parent && was.parent) {
		return "", false, invalid(path, fmt.Sprintf("%s and %s lead to the same place", was.path, path), "name one of them, without symbolic links")
	}
	p.places[name] = claimed{path, parent}
	return name, known, nil
}

// owed returns what is owed by the service manager of this run.
func (p *planner) owed() map[string]owed { return p.next.Owed[p.opt.Service] }

func (p *planner) add(s step) { p.steps = append(p.steps, s) }

// files returns every wanted file, those of units last.
func (d Desired) files() []File {
	files := append([]File(nil), d.Files...)
	for _, u := range d.Units {
		if u.File == nil {
			continue
		}
		f := *u.File
		if f.Effect == None {
			f.Effect, f.Service = Restart, u.Name
		}
		files = append(files, f)
	}
	return files
}

func (p *planner) driftProblem() error {
	return &Problem{
		Code: CodeDrift, Path: p.drift[0],
		Message: "edited by hand or not ours, so nothing was changed: " + strings.Join(p.drift, ", "),
		Hint:    "--force replaces it and keeps a backup beside it",
	}
}
