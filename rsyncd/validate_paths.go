package rsyncd

import (
	"path/filepath"
	"slices"
	"strings"
)

// The directories of a host that no master may own. A module may lie below
// those of systemDirs, but not below those of kernelDirs.
const (
	systemDirs = "/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /libx32 /lost+found /media /mnt /opt" +
		" /root /run /sbin /srv /tmp /usr /usr/bin /usr/lib /usr/local /usr/sbin /usr/share" +
		" /var /var/lib /var/log /var/run /var/spool /etc/syncagent /var/lib/syncagent /run/syncagent"
	kernelDirs = "/proc /sys"
)

func (v *validator) modulePath(p string) {
	if p == "" {
		v.add("path", "name the directory to receive into", "there is none")
		return
	}
	if !v.absolute("path", p) {
		return
	}
	if dangerous(p) {
		v.add("path", "use a directory of its own, like "+filepath.Join("/srv", "replica", filepath.Base(p)),
			"%q belongs to the system: a master could replace all of it", p)
	}
}

func dangerous(p string) bool {
	if slices.Contains(strings.Fields(systemDirs), p) {
		return true
	}
	if filepath.Dir(p) == "/home" {
		return true
	}
	return slices.ContainsFunc(strings.Fields(kernelDirs), func(d string) bool { return within(d, p) })
}

// ownFiles keeps the daemon's files out of the master's reach.
func (v *validator) ownFiles(m Module, c Conf) {
	files := append(c.files(), ownFile{"secrets file", m.SecretsFile})
	for _, other := range c.Modules {
		if other.Name != m.Name && other.SecretsFile != m.SecretsFile {
			files = append(files, ownFile{"secrets file of " + other.Name, other.SecretsFile})
		}
	}
	for _, f := range files {
		if f.path != "" && within(m.Path, f.path) {
			v.add(f.name, "move it out of the module", "%q lies in the module's path, so the master could replace or delete it", f.path)
		}
	}
}

// apart refuses modules that share a name or files: what one master deletes
// would vanish from the other's tree.
func (v *validator) apart(modules []Module) {
	for i, m := range modules {
		v.in = m.Name
		for _, o := range modules[:i] {
			if canonical(o.Name) == canonical(m.Name) {
				v.add("name", "rename one", "the daemon cannot tell it from module %s", o.Name)
			}
			if within(o.Path, m.Path) || within(m.Path, o.Path) {
				v.add("path", "use directories that do not contain each other", "%q and %q of module %s overlap", m.Path, o.Path, o.Name)
			}
		}
	}
}

// within reports whether p is dir or lies below it.
func within(dir, p string) bool {
	return dir == p || dir == "/" || dir != "" && strings.HasPrefix(p, dir+"/")
}
