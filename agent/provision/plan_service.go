package provision

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (p *planner) planServices(ctx context.Context) error {
	switch {
	case p.opt.Service != serviceSystemd:
		p.require()
		return nil
	case p.opt.Root != "":
		return p.linkUnits()
	}
	before := len(p.steps)
	for _, name := range p.services() {
		if err := p.service(ctx, name); err != nil {
			return err
		}
	}
	// A run that was killed may have left the manager with files of old.
	if p.unitFiles || len(p.stored.Owed[serviceSystemd]) > 0 {
		p.steps = slices.Insert(p.steps, before, step{
			late: true,
			do:   func() error { return p.sys.Do(ctx, "daemon-reload", "") },
		})
	}
	return nil
}

// require says what the caller has to do when no service manager is used.
func (p *planner) require() {
	for _, name := range p.services() {
		o, ok := p.owed()[name]
		p.restart = p.restart || o.Restart
		p.reload = p.reload || ok && !o.Restart
		p.reasons = append(p.reasons, o.Reasons...)
	}
}

// services returns the wanted units, then others that are owed something.
func (p *planner) services() []string {
	var names []string
	for _, u := range p.want.Units {
		names = append(names, u.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.owed())) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (p *planner) unit(name string) Unit {
	for _, u := range p.want.Units {
		if u.Name == name {
			return u
		}
	}
	return Unit{Name: name}
}

// service plans for one unit. It asks for the state once, before anything is
// changed, so that a check run and a real one see the same.
func (p *planner) service(ctx context.Context, name string) error {
	u, o := p.unit(name), p.owed()[name]
	st, err := p.sys.UnitState(ctx, name)
	if err != nil {
		return serviceProblem(name, err)
	}
	if st.Masked && (u.Enable || u.Start) {
		p.verb(ctx, name, "unmask", "")
	}
	if u.Enable && !st.Enabled {
		p.verb(ctx, name, "enable", ActionEnable)
	}
	_, due := p.owed()[name]
	switch {
	case !st.Active && u.Start:
		p.verb(ctx, name, "start", ActionStart)
	case st.Active && o.Restart:
		p.reasons = append(p.reasons, o.Reasons...)
		p.verb(ctx, name, "restart", ActionRestart)
	case st.Active && due:
		p.verb(ctx, name, "reload", ActionReload)
	}
	return nil
}

// verb adds a step that is reported if it has an action.
func (p *planner) verb(ctx context.Context, name, verb, action string) {
	s := step{late: true, do: func() error {
		if err := p.sys.Do(ctx, verb, name); err != nil {
			return serviceProblem(name, err)
		}
		return nil
	}}
	if action != "" {
		s.change = Change{Kind: KindService, Path: name, Action: action}
	}
	p.add(s)
}

func serviceProblem(name string, err error) error {
	return &serviceError{name: name, err: err}
}

// serviceError keeps the cause, so that the end of the context is told apart.
type serviceError struct {
	name string
	err  error
}

func (e *serviceError) Error() string { return e.err.Error() }
func (e *serviceError) Unwrap() error { return e.err }

// unitDir is where an administrator's units and links are, packagedDirs where
// packages put units; see systemd.unit(5).
const unitDir = "/etc/systemd/system"

func packagedDirs() []string {
	return []string{unitDir, "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// Packaged reports whether below root, "" for this host, a package brought a unit that
// no administrator's takes the place of.
func Packaged(root, unit string) bool {
	for _, dir := range packagedDirs() {
		if _, err := os.Lstat(filepath.Join(root, dir, unit)); err == nil {
			return dir != unitDir
		}
	}
	return false
}

// linkUnits enables units of a staging directory the way "systemctl enable"
// does: a link in each directory that the [Install] section names.
func (p *planner) linkUnits() error {
	for _, u := range p.want.Units {
		if !u.Enable {
			continue
		}
		path, content, err := p.unitSource(u)
		if err != nil {
			return err
		}
		for _, dir := range installDirs(content) {
			if err := p.linkUnit(u.Name, path, filepath.Join(unitDir, dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// unitSource returns where the unit itself is or will be, and its content.
func (p *planner) unitSource(u Unit) (path, content string, err error) {
	if u.File != nil && filepath.Base(u.File.Path) == u.Name {
		return u.File.Path, string(u.File.Content), nil
	}
	for _, dir := range packagedDirs() {
		path := filepath.Join(dir, u.Name)
		name, err := p.disk(path)
		if err != nil {
			return "", "", err
		}
		b, err := p.sys.ReadFile(name)
		if err == nil {
			return path, string(b), nil
		}
		if !missing(err) {
			return "", "", err
		}
	}
	return "", "", &Problem{
		Code: CodeInvalid, Path: u.Name,
		Message: "enable " + u.Name + ": there is no such unit in " + p.opt.Root,
		Hint:    "install the unit there first",
	}
}

// installDirs reads WantedBy= and RequiredBy= of a unit file.
func installDirs(content string) []string {
	var dirs []string
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(line, "=")
		suffix := map[string]string{"WantedBy": ".wants", "RequiredBy": ".requires"}[strings.TrimSpace(key)]
		if suffix == "" {
			continue
		}
		for _, target := range strings.Fields(value) {
			dirs = append(dirs, target+suffix)
		}
	}
	return dirs
}

func (p *planner) linkUnit(unit, target, dir string) error {
	name, err := p.disk(filepath.Join(dir, unit))
	if err != nil {
		return err
	}
	st, err := p.sys.Lstat(name)
	switch {
	case err == nil && st.Mode.Type() == fs.ModeSymlink:
		return nil
	case err == nil:
		return notA(filepath.Join(dir, unit), "symbolic link", st)
	case !missing(err):
		return err
	}
	if err := p.dir(dir, false); err != nil {
		return err
	}
	p.add(step{
		change: Change{Kind: KindService, Path: unit, Action: ActionEnable},
		do: func() error {
			return after(p.sys.Symlink(target, name), func() error { return p.sys.SyncDir(filepath.Dir(name)) })
		},
	})
	return nil
}
