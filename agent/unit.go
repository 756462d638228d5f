package agent

import (
	"bytes"
	"embed"
	"fmt"
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
	Writable       string // paths, each in systemd's quoting
	PrivateTmp     bool
	ProtectHome    bool
}

// unit renders the unit of a service. Modules may lie anywhere, so what hides
// temporary and home directories is left out where a module lies there.
func unit(name, file, binary, config string, trees, writable []string) (provision.Unit, error) {
	data := unitData{
		Binary: quoteUnit(binary), Config: quoteUnit(config),
		PrivateTmp:  !anyBelow(trees, "/tmp", "/var/tmp"),
		ProtectHome: !anyBelow(trees, "/home", "/root", "/run/user"),
	}
	var paths []string
	for _, w := range writable {
		paths = append(paths, quoteUnit("-"+w))
	}
	data.Writable = strings.Join(paths, " ")
	t, err := template.ParseFS(unitFiles, "units/hardening.tmpl", "units/"+file)
	if err != nil {
		return provision.Unit{}, fmt.Errorf("parse template of unit %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, file, data); err != nil {
		return provision.Unit{}, fmt.Errorf("render unit %s: %w", name, err)
	}
	return provision.Unit{
		Name: name, Enable: true, Start: true,
		File: &provision.File{Path: "/etc/systemd/system/" + name, Content: out.Bytes(), Mode: 0o644},
	}, nil
}

// quoteUnit writes a word as systemd reads it back: specifiers doubled, quoted
// where it has to be.
func quoteUnit(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if !strings.ContainsAny(s, " \t\"'\\;$") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `$$`).Replace(s) + `"`
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
