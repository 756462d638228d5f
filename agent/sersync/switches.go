package sersync

import (
	"fmt"

	"syncagent/agent/config"
)

// switches takes the <inotify> section. A switch that is left out has the value
// of the shipped file.
func (b *builder) switches(n *element, spec *config.ModuleSpec) {
	for _, s := range []struct {
		name, event string
		on          bool
	}{
		{"delete", config.EventDelete, true},
		{"createFolder", config.EventCreateFolder, true},
		{"createFile", config.EventCreateFile, false},
		{"closeWrite", config.EventCloseWrite, true},
		{"moveFrom", config.EventMoveFrom, true},
		{"moveTo", config.EventMoveTo, true},
		{"attrib", config.EventAttrib, false},
		{"modify", config.EventModify, false},
	} {
		e := n.first(s.name)
		if e == nil && s.on || e.on() {
			spec.Events = append(spec.Events, s.event)
		}
		b.switched(s.name, e, spec)
	}
	switch len(spec.Events) {
	case len(config.EventNames()):
		spec.Events = nil
	case 0:
		b.say(n.at(), Warning, "<inotify>", "events: [delete], delete: false", "with every switch off nothing happens by events")
		spec.Events = []string{config.EventDelete}
	}
}

// switched tells what a switch does otherwise than it did.
func (b *builder) switched(name string, e *element, spec *config.ModuleSpec) {
	if name == "delete" && spec.Targets == nil && (e == nil || e.on()) { // without -m
		b.say(e.at(), Changed, "<delete start=\"true\">", "delete: true, with delete_guard and first_sync: merge",
			"what only a slave has at first, and a delete of more than 30 % of a tree, waits for agent approve; delete_guard: off and first_sync: mirror are as before")
	}
	if e == nil {
		return
	}
	what := e.says("start")
	switch {
	case name == "delete" && !e.on():
		spec.Delete = false
		b.say(e.line, Changed, what, "delete: false", "nothing is deleted on a slave, neither by events nor by sweeps; -r and crontab deleted all the same")
	case name == "createFolder" && !e.on():
		b.say(e.line, Changed, what, "events without create_folder", "new directories were not watched and all in them was lost; they are, and are sent with what is in them")
	case name == "attrib" && e.on():
		b.say(e.line, Changed, what, "events: [..., attrib]", "a changed mode was taken for a delete, and the directory was no longer watched")
	case (name == "moveFrom" || name == "closeWrite") && !e.on():
		b.say(e.line, Changed, what, fmt.Sprintf("events without %s", map[string]string{"moveFrom": config.EventMoveFrom, "closeWrite": config.EventCloseWrite}[name]), "sweeps see what events do not")
	}
}

// overSSH has the remote's name be a directory over there, as it was.
func (b *builder) overSSH(e *element, spec *config.ModuleSpec, t *config.TargetSpec) {
	spec.Transport, t.Transport = config.TransportSSH, config.TransportSSH
	if t.Port != config.DefaultPort {
		b.say(e.line, Changed, e.says("start"), "userDefinedPort is not used", "it is the rsync daemon's; ssh: {port: N} is that of the ssh server")
	}
	t.Port, t.SSH.User, t.Auth = config.DefaultPort, t.Auth.User, config.Auth{Off: true}
}
