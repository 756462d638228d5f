package chaostest

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"syncagent/agent/status"
)

type target = status.Target

// shows waits until status says something of a target.
func (w *world) shows(limit time.Duration, name, what string, is func(target) bool) {
	w.Helper()
	w.eventually(limit, func() error { return w.shown(name, what, is) })
}

func (w *world) shown(name, what string, is func(target) bool) error {
	m, err := w.status()
	if err != nil {
		return err
	}
	for _, t := range m.Targets {
		if t.Name == name && is(t) {
			return nil
		} else if t.Name == name {
			return fmt.Errorf("%s does not show %s but %s, class %q: %s", name, what, t.State, t.Class, t.LastError)
		}
	}
	return fmt.Errorf("status does not know %s", name)
}

// arrives makes a change and waits until it stands on the slave of that index,
// whatever becomes of the others.
func (w *world) arrives(limit time.Duration, i int) {
	w.Helper()
	name := fmt.Sprintf("arrives-%d", time.Now().UnixNano())
	there := filepath.Join(w.source, name)
	w.eventually(limit, func() error {
		if _, err := os.Stat(there); err != nil { // not there yet, or a random edit took it
			w.edit(func() { w.write(there, name) })
		}
		_, err := os.Stat(filepath.Join(w.slaves[i].tree, name))
		return err
	})
}

// showsClass waits until status shows a failure of a class.
func (w *world) showsClass(name, class string) {
	w.Helper()
	w.eventually(time.Minute, func() error { return w.hasClass(name, class) })
}

func (w *world) hasClass(name, class string) error {
	return w.shown(name, "class "+class, func(t target) bool { return t.Class == class })
}
