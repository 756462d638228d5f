package agent

import (
	"bytes"
	"embed"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"

	"syncagent/agent/provision"
)

//go:embed units
var unitFiles embed.FS

// The units of the two roles.
const (
	MasterUnit   = "syncagent.service"
	ReceiverUnit = "syncagent-receiver.service"
)

// unitData fills a unit's template.
type unitData struct {
	Binary, Config string
	Mounts         string // paths, each in systemd's quoting
	Writable       string // so too
	Chroot         bool
	PrivateTmp     bool
	ProtectHome    bool
	DropIn         bool // lists of commands begin anew
}

// place is where a unit's service has to get at.
type place struct {
	paths    []string // everything it reads or writes
	mounts   []string // what has to be mounted before it starts
	writable []string
	anywhere bool // it may be told of further paths while it runs
	chroot   bool
}

// unit renders the unit of a service. Modules, and all else that the
// configuration names, may lie anywhere, so what hides temporary and home
// directories is left out where something lies there. Temporary files go to
// the runtime directory, which no such choice makes read-only. Where a package
// brought the unit, all of it goes into a drop-in, so that the package's own file
// may change with the package.
func (w Wanted) unit(name, file string, p place) (provision.Unit, error) {
	paths := append([]string{w.Binary, w.File}, p.paths...)
	if !w.Staged {
		for _, path := range paths {
			paths = append(paths, resolved(path))
		}
	}
	data := unitData{
		Binary: quoteExec(w.Binary), Config: quoteExec(w.File),
		Mounts: quoteAll("", p.mounts), Writable: quoteAll("-", p.writable), Chroot: p.chroot,
		PrivateTmp:  !p.anywhere && !anyBelow(paths, "/tmp", "/var/tmp"),
		ProtectHome: !p.anywhere && !anyBelow(paths, "/home", "/root", "/run/user"),
		DropIn:      w.packaged(name),
	}
	t, err := template.ParseFS(unitFiles, "units/hardening.tmpl", "units/"+file)
	if err != nil {
		return provision.Unit{}, fmt.Errorf("parse template of unit %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, file, data); err != nil {
		return provision.Unit{}, fmt.Errorf("render unit %s: %w", name, err)
	}
	path := "/etc/systemd/system/" + name
	if data.DropIn {
		path += ".d/10-init.conf"
	}
	return provision.Unit{
		Name: name, Enable: true, Start: true,
		File: &provision.File{Path: path, Content: out.Bytes(), Mode: 0o644},
	}, nil
}

func (w Wanted) packaged(unit string) bool { return w.Packaged != nil && w.Packaged(unit) }

// resolved follows the links of a path as far as it exists.
func resolved(path string) string {
	for dir, rest := path, ""; dir != "/" && dir != "."; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
	}
	return path
}

func quoteAll(prefix string, paths []string) string {
	var words []string
	for _, p := range paths {
		words = append(words, quoteUnit(prefix+p))
	}
	return strings.Join(words, " ")
}

// quoteExec quotes a word of a command, where systemd also expands variables.
func quoteExec(s string) string { return quoteUnit(strings.ReplaceAll(s, "$", "$$")) }

// quoteUnit writes a word as systemd reads it back: specifiers doubled, quoted
// where it has to be.
func quoteUnit(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if !strings.ContainsAny(s, " \t\"'\\;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func anyBelow(paths []string, dirs ...string) bool {
	for _, p := range paths {
		for _, d := range dirs {
			if p == d || strings.HasPrefix(p, d+"/") {
				return true
			}
		}
	}
	return false
}
