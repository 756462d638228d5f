package sersync

import "syncagent/agent/config"

// switches takes the <inotify> section.
func (b *builder) switches(n *element, spec *config.ModuleSpec) {
	if d := n.first("delete"); d != nil && !d.on() {
		spec.Delete = false
	}
}

func (b *builder) overSSH(e *element, _ *config.ModuleSpec) {
	b.fault(e.line, e.says("start")+" cannot be had yet", "use the rsync daemon")
}
