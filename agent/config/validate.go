package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Validate checks what takes several values or the machine; a nil host leaves
// the machine out. The error is Faults with all that was found. It changes
// nothing.
func (m *Master) Validate(host *Host) error {
	v := validator{origin: &m.origin, host: host}
	modules := v.masterModules(m)
	v.counts(m)
	v.settle(m, modules)
	paths := v.modulePaths(modules)
	v.localPaths(paths)
	v.keepOut(paths, m.ownFiles(), "every target would get it, and its own changes would never end")
	v.remotePaths(modules)
	v.transports(m, modules)
	v.hooks(m)
	v.passwords(m)
	v.loops(modules, paths)
	return v.faults.err()
}

// Validate checks what takes several values or the machine; see
// Master.Validate.
func (r *Receiver) Validate(host *Host) error {
	v := validator{origin: &r.origin, host: host}
	paths := v.receivedPaths(r)
	if len(r.Modules) == 0 {
		v.add("modules", "there is no module", "name at least one directory, as in www: {path: /www/www}")
	}
	if len(r.Allow) == 0 {
		v.add("allow", "nobody may connect", "name the master's address, as in allow: [192.168.1.167]")
	}
	v.localPaths(paths)
	v.keepOut(paths, r.ownFiles(), "a sweep of the master would delete it")
	v.logins(r)
	return v.faults.err()
}

// logins are whether each user is named once and has a password.
func (v *validator) logins(r *Receiver) {
	users := r.Auth.Users()
	for i, user := range users {
		if slices.Contains(users[:i], user) {
			v.add("auth.also", fmt.Sprintf("user %s is named twice", user), "name each user once")
		}
	}
	files := v.files()
	if files == nil {
		return
	}
	for _, user := range users {
		if err := files.Secrets(r.Auth.SecretsFile, user); err != nil {
			v.add("auth.secrets_file", err.Error(), "")
			return
		}
	}
}

func (m *Master) ownFiles() []located {
	list := []located{{key: "state_dir", path: m.StateDir}, {key: "socket", path: m.Socket}}
	if m.Auth.PasswordFile != "" {
		list = append(list, located{key: "auth.password_file", path: m.Auth.PasswordFile})
	}
	for _, t := range m.TargetSpecs {
		if t.Auth.PasswordFile != "" {
			list = append(list, located{key: join("targets", t.Name) + ".auth.password_file", path: t.Auth.PasswordFile})
		}
		list = append(list, sshFiles(join("targets", t.Name)+".ssh", t.SSH)...)
	}
	return slices.Concat(list, sshFiles("ssh", m.SSH), m.hookFiles())
}

func (r *Receiver) ownFiles() []located {
	return []located{{key: "state_dir", path: r.StateDir}, {key: "conf_file", path: r.ConfFile}, {key: "auth.secrets_file", path: r.Auth.SecretsFile}}
}

type validator struct {
	origin *origin
	host   *Host
	faults Faults
}

func (v *validator) add(key, text, hint string) {
	v.faults = append(v.faults, v.origin.fault(key, problem{text, hint}))
}

func (v *validator) files() Files {
	if v.host == nil {
		return nil
	}
	return v.host.Files
}

func (v *validator) net() Net {
	if v.host == nil {
		return nil
	}
	return v.host.Net
}

// masterModules resolves the modules; one that cannot be is checked as far as
// it goes.
func (v *validator) masterModules(m *Master) []Module {
	list := make([]Module, 0, len(m.ModuleSpecs))
	for _, spec := range m.ModuleSpecs {
		mod, faults := m.module(spec)
		v.faults = append(v.faults, faults...)
		list = append(list, mod)
	}
	return list
}

func (v *validator) counts(m *Master) {
	if len(m.ModuleSpecs) == 0 {
		v.add("modules", "there is no module", "name at least one tree, as in www: {path: /www/www}")
	}
	if len(m.TargetSpecs) == 0 && !m.OnlyHooks() {
		v.add("targets", "there is no target", "name at least one slave, as in s1: {host: 192.168.1.168}; a module that only runs hooks has targets: []")
	}
	for _, spec := range m.ModuleSpecs {
		key := join("modules", spec.Name) + ".targets"
		if spec.nowhere() && len(spec.Hooks) == 0 {
			v.add(key, "the list is empty, and there is no hook", "name targets, or leave the key out for all of them")
		}
		seen := map[string]bool{}
		for _, d := range spec.Targets {
			if seen[d.Target] {
				v.add(key, "target "+quote(d.Target)+" stands there twice", "remove one, or give the host a second name under targets")
			}
			seen[d.Target] = true
		}
	}
}

// settle checks that a change cannot rest longer than the most.
func (v *validator) settle(m *Master, modules []Module) {
	bad := func(s Settle) bool { return s.Quiet > s.Max }
	say := func(key string, s Settle) {
		v.add(key+"settle.quiet", s.Quiet.String()+" is more than settle.max, "+s.Max.String(), "make it less")
	}
	if bad(m.Settle) {
		say("", m.Settle)
		return
	}
	for _, mod := range modules {
		if bad(mod.Settle) {
			say(join("modules", mod.Name)+".", mod.Settle)
		}
	}
}

// daemonModule is an rsync module over there as far as it can be told from
// here: two names of one host look like two hosts.
type daemonModule struct {
	host   string
	port   int
	module string
}

// remote is one destination in a daemonModule.
type remote struct {
	module, dir string
	key         string // of the module here
	label       string // module and target, for people
}

// remotePaths finds two destinations of which one contains the other: each
// would delete what the other brought.
func (v *validator) remotePaths(modules []Module) {
	all := map[daemonModule][]remote{}
	for _, m := range modules {
		key := join("modules", m.Name)
		for _, t := range m.Targets {
			at := daemonModule{strings.ToLower(t.Host), t.Port, t.Module}
			r := remote{t.Module, t.Dir, key, key + " to " + t.Name}
			v.overlapping(r, all[at])
			all[at] = append(all[at], r)
		}
	}
}

func (v *validator) overlapping(a remote, others []remote) {
	for _, b := range others {
		if a.label != b.label && (contains(a.dir, b.dir) || contains(b.dir, a.dir)) {
			text := "the remote path " + a.url() + " of " + a.label + " overlaps " + b.url() + " of " + b.label
			v.add(a.key+".targets", text, "give each a module or a path of its own")
			return
		}
	}
}

func (r remote) url() string {
	return path.Join(r.module, r.dir)
}

func (v *validator) passwords(m *Master) {
	files := v.files()
	if files == nil {
		return
	}
	shared := len(m.TargetSpecs) == 0 && !m.OnlyHooks()
	for _, t := range m.TargetSpecs {
		switch {
		case m.onlySSH(t), t.Auth.Off, t.Auth == (Auth{}) && m.Auth.Off:
			continue
		case t.Auth.PasswordFile == "":
			shared = true
			continue
		}
		if err := files.Password(t.Auth.PasswordFile); err != nil {
			v.add(join("targets", t.Name)+".auth.password_file", err.Error(), "")
		}
	}
	if !shared {
		return
	}
	if err := files.Password(m.Auth.PasswordFile); err != nil {
		v.add("auth.password_file", err.Error(), "")
	}
}
