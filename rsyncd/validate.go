package rsyncd

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a Conf. The message stands alone:
// callers put the file's name before it.
type Fault struct {
	Module string // "" is daemon-wide
	Param  string // as it is spelled in the file
	Msg    string // what is wrong
	Hint   string // what to do
}

func (f *Fault) Error() string {
	where := f.Param
	if f.Module != "" {
		where = fmt.Sprintf("module %s: %s", f.Module, f.Param)
	}
	return fmt.Sprintf("%s: %s; %s", where, f.Msg, f.Hint)
}

// Validate reports everything that makes c unsafe, or that its file could not
// say. The error joins a *Fault each; nil means that Render and Parse give c
// back and that nobody but those it names is let in. Owners, modes and existence
// of files are not looked at.
func (c Conf) Validate() error {
	v := validator{}
	v.global(c)
	for _, m := range c.Modules {
		v.in = m.Name
		v.module(m)
		v.ownFiles(m, c)
	}
	v.apart(c.Modules)
	return errors.Join(v.faults...)
}

type validator struct {
	in     string
	faults []error
}

func (v *validator) add(param, hint, msg string, args ...any) {
	v.faults = append(v.faults, &Fault{v.in, param, fmt.Sprintf(msg, args...), hint})
}

func (v *validator) global(c Conf) {
	v.values(c.params(), c.Extra)
	if c.Port < 0 || c.Port > 65535 {
		v.add("port", "use a port from 1 to 65535", "%d is no port", c.Port)
	}
	if c.ListenBacklog < 0 {
		v.add("listen backlog", "use 0 or more", "%d is negative", c.ListenBacklog)
	}
	if c.Address != "" {
		v.address("address", c.Address)
	}
	for _, f := range c.files() {
		if f.path != "" {
			v.absolute(f.name, f.path)
		}
	}
}

// ownFile is a file of the daemon's own.
type ownFile struct{ name, path string }

func (c Conf) files() []ownFile {
	return []ownFile{
		{"pid file", c.PIDFile},
		{"log file", c.LogFile},
		{"lock file", c.LockFile},
		{"motd file", c.MOTDFile},
	}
}

var (
	moduleName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	userRule   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}(:ro|:rw|:deny)?$`)
	idName     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	optionName = regexp.MustCompile(`^(\*|!?[A-Za-z0-9][A-Za-z0-9-]*\*?)$`)
)

func (v *validator) module(m Module) {
	v.name(m.Name)
	v.values(m.params(), m.Extra)
	v.modulePath(m.Path)
	v.access(m)
	v.login(m)
	v.hosts(m)
	v.ids(m)
	v.options(m)
	if m.Timeout < 0 {
		v.add("timeout", "use 0 or more seconds", "%d is negative", m.Timeout)
	}
}

func (v *validator) name(name string) {
	if !moduleName.MatchString(name) {
		v.add("name", "use 1 to 64 letters, digits, dots, dashes and underscores", "%q is no module name", name)
	}
	if canonical(name) == globalSection {
		v.add("name", "use another name", "%q means the daemon-wide part of the file", name)
	}
}

// access refuses combinations that serve nobody, or more than they seem to.
func (v *validator) access(m Module) {
	if m.ReadOnly && m.WriteOnly {
		v.add("read only", "set one of the two", "together with write only nothing is left to do")
	}
	rw := slices.ContainsFunc(m.AuthUsers, func(r string) bool { return strings.HasSuffix(r, ":rw") })
	if m.ReadOnly && rw {
		v.add("auth users", "use :ro", ":rw overrides read only, so the user could write")
	}
	if m.Chroot == Unset {
		v.add("use chroot", "say yes or no", "the daemon would go on without it where it fails")
	}
	if m.Chroot != Yes && m.MungeSymlinks == No {
		v.add("munge symlinks", "serve with chroot or munge the links",
			"without chroot the daemon rewrites the targets of links it stores as they are")
	}
}

func (v *validator) login(m Module) {
	if len(m.AuthUsers) == 0 {
		v.add("auth users", "name the user that the master logs in as", "everybody would be let in without a password")
	}
	for _, r := range m.AuthUsers {
		if !userRule.MatchString(r) {
			v.add("auth users", "use letters, digits, dots, dashes and underscores, then :rw or :ro", "%q is no plain user rule", r)
		}
	}
	if m.SecretsFile == "" {
		v.add("secrets file", "name the file that holds user:password", "without it nobody can log in")
	} else {
		v.absolute("secrets file", m.SecretsFile)
	}
	if !m.StrictModes {
		v.add("strict modes", "set it to yes", "the secrets file could be readable by others unnoticed")
	}
	digests := []string{"", "sha512", "sha256", "sha1", "md5", "md4"}
	if !slices.Contains(digests, m.AuthDigest) {
		v.add("auth digest", "use sha512, sha256, sha1, md5 or md4", "%q is no digest the daemon knows, every login would fail", m.AuthDigest)
	}
}

func (v *validator) ids(m Module) {
	for _, p := range []ownFile{{"uid", m.UID}, {"gid", m.GID}} {
		if p.path != "" && !idName.MatchString(p.path) {
			v.add(p.name, "use one name or number", "%q is none", p.path)
		}
	}
}

func (v *validator) options(m Module) {
	for _, o := range m.RefuseOptions {
		if !optionName.MatchString(o) {
			v.add("refuse options", "write the option's name without dashes, ! before it lets it through", "%q is no option", o)
		}
	}
	if len(m.RefuseOptions) == 0 || m.RefuseOptions[0] != "*" {
		v.add("refuse options", `begin the list with "*" and let single options through with "!"`, "the list is not closed")
	}
}
