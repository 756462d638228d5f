package provision

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// tempSuffix makes a temporary name of ours known as such.
const tempSuffix = ".syncagent-tmp"

// maxTempBase leaves room for the suffix in a name of 255 bytes.
const maxTempBase = 200

// tempName is hidden and in the same directory, so that a rename never
// crosses file systems and no *.conf pattern picks it up.
func tempName(name string) string {
	base := filepath.Base(name)
	base = base[:min(len(base), maxTempBase)]
	return filepath.Join(filepath.Dir(name), "."+base+tempSuffix)
}

func isTemp(base string) bool {
	return strings.HasPrefix(base, ".") && strings.HasSuffix(base, tempSuffix)
}

// doneError tells that a change happened although something after it failed.
type doneError struct{ error }

func (e doneError) Unwrap() error { return e.error }

// after runs what follows a change that happened if err is nil.
func after(err error, next func() error) error {
	if err != nil {
		return err
	}
	if err := next(); err != nil {
		return doneError{err}
	}
	return nil
}

// replace puts content at name as a whole or not at all.
func replace(sys System, name string, content []byte, a Attr) error {
	temp := tempName(name)
	return place(sys, temp, name, func() error { return writeTemp(sys, temp, content, a) })
}

// makeDir makes a directory that has its owner from its first moment on.
func makeDir(sys System, name string, a Attr) error {
	temp := tempName(name)
	return place(sys, temp, name, func() error {
		if err := again(sys, temp, func() error { return sys.Mkdir(temp) }); err != nil {
			return err
		}
		return sys.SetAttr(temp, a)
	})
}

// place makes temp, renames it to name and brings that to disk.
func place(sys System, temp, name string, build func() error) error {
	err := build()
	if err == nil {
		err = sys.Rename(temp, name)
	}
	if err != nil {
		_ = sys.Remove(temp) // the next run removes it otherwise
		return err
	}
	return after(nil, func() error { return sys.SyncDir(filepath.Dir(name)) })
}

// writeTemp sets owner and mode before content: a secret is never wider than
// wanted, not even for a moment.
func writeTemp(sys System, temp string, content []byte, a Attr) (err error) {
	var t Temp
	create := func() (err error) {
		t, err = sys.Create(temp)
		return err
	}
	if err := again(sys, temp, create); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.SetAttr(a); err != nil {
		return err
	}
	return t.Write(content)
}

// again removes the leftover of a killed run and makes it once more.
func again(sys System, temp string, build func() error) error {
	err := build()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := sys.Remove(temp); err != nil {
		return err
	}
	return build()
}

// findLeftovers looks for what killed runs left: any in the directories of our files,
// those of wanted directories by their exact names, since the directory around
// them may be anyone's.
func (p *planner) findLeftovers() error {
	found := map[string]bool{}
	for _, f := range p.want.files() {
		p.leftoversIn(found, filepath.Dir(f.Path))
	}
	p.leftoversIn(found, p.want.StateDir)
	for path := range p.planned {
		name, err := p.disk(tempName(path))
		if err != nil {
			return err
		}
		if _, err := p.sys.Lstat(name); err == nil {
			found[name] = true
		}
	}
	for name := range found {
		p.sweep = append(p.sweep, name)
	}
	return nil
}

// leftoversIn skips a directory it cannot list: making a temporary file there
// fails with a better message.
func (p *planner) leftoversIn(found map[string]bool, dir string) {
	probe, err := p.disk(filepath.Join(dir, lockName))
	if err != nil {
		return
	}
	names, _ := p.sys.List(filepath.Dir(probe))
	for _, base := range names {
		if isTemp(base) {
			found[filepath.Join(filepath.Dir(probe), base)] = true
		}
	}
}

// sweep removes leftovers. A directory that is not empty is not ours.
func sweep(sys System, names []string) error {
	for _, name := range names {
		err := sys.Remove(name)
		if err != nil && !missing(err) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}
