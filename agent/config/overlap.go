package config

import (
	"path"
	"strings"
)

// located is a path as written and with symlinks resolved, and the key it
// stands at.
type located struct{ key, path, real string }

// entry is what the key of a path belongs to.
func (l located) entry() string { return strings.TrimSuffix(l.key, ".path") }

func (v *validator) locate(key, p string) located {
	l := located{key, p, p}
	if files := v.files(); files != nil && p != "" {
		l.real = files.Resolve(p)
	}
	return l
}

func (v *validator) modulePaths(modules []Module) []located {
	list := make([]located, len(modules))
	for i, m := range modules {
		list[i] = v.locate(join("modules", m.Name)+".path", m.Path)
	}
	return list
}

func (v *validator) receivedPaths(r *Receiver) []located {
	list := make([]located, len(r.Modules))
	for i, m := range r.Modules {
		list[i] = v.locate(join("modules", m.Name)+".path", m.Path)
	}
	return list
}

// localPaths finds directories that lie in another, as written and with
// symlinks resolved. Walking up from each keeps it linear.
func (v *validator) localPaths(paths []located) {
	written, real := map[string]int{}, map[string]int{}
	for i, l := range paths {
		addFirst(written, l.path, i)
		addFirst(real, l.real, i)
	}
	for i, l := range paths {
		p, outer := l.path, above(written, l.path, i)
		if outer < 0 {
			p, outer = l.real, above(real, l.real, i)
		}
		if outer < 0 {
			continue
		}
		q := paths[outer].path
		if p == l.real {
			q = paths[outer].real
		}
		v.add(l.key, overlapText(p, q, "the path of "+paths[outer].entry()), "keep modules apart, or leave the inner one to the outer")
	}
}

func addFirst(index map[string]int, p string, i int) {
	if _, ok := index[p]; !ok {
		index[p] = i
	}
}

// above returns the index of the nearest directory at or above p, other than
// its own, or -1.
func above(index map[string]int, p string, own int) int {
	for p != "" && p != "/" && p != "." {
		if i, ok := index[p]; ok && i != own {
			return i
		}
		p = path.Dir(p)
	}
	return -1
}

// overlap reports whether one path contains the other, and the form of both in
// which it does.
func (l located) overlap(m located) (string, string, bool) {
	switch {
	case l.path == "" || m.path == "":
		return "", "", false
	case contains(l.path, m.path) || contains(m.path, l.path):
		return l.path, m.path, true
	}
	return l.real, m.real, contains(l.real, m.real) || contains(m.real, l.real)
}

// overlapText says how a lies to b, which is what.
func overlapText(a, b, what string) string {
	switch {
	case a == b:
		return quote(a) + " is " + what
	case contains(a, b):
		return quote(a) + " contains " + quote(b) + ", " + what
	}
	return quote(a) + " lies in " + quote(b) + ", " + what
}

// contains reports whether b is a or below it; both are clean. The empty path
// is the root of a remote module.
func contains(a, b string) bool {
	return a == b || a == "" || a == "/" || strings.HasPrefix(b, a+"/")
}

// keepOut finds files of ours inside a module.
func (v *validator) keepOut(modules, own []located, why string) {
	for _, f := range own {
		file := v.locate(f.key, f.path)
		for _, m := range modules {
			if m.path == "" || !contains(m.path, file.path) && !contains(m.real, file.real) {
				continue
			}
			v.add(f.key, quote(f.path)+" lies in "+m.entry()+", "+why, "move it out of "+m.path)
		}
	}
}
