package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"

	"syncagent/agent/config"
	"syncagent/rsyncd"
)

// custody keeps a receiver's module directories: what is not there, or is another
// one, is not written to. A disk that is not mounted would else be replicated onto
// the one below it, and its master would believe that all is well.
type custody struct {
	log *slog.Logger

	mu     sync.Mutex
	loaded bool
	known  keptRoots
	out    map[string]string // by module, why it is out of service
}

func newCustody(log *slog.Logger) *custody {
	return &custody{log: log, known: keptRoots{}, out: map[string]string{}}
}

// look brings what is known up to date, and reports whether anything is another
// than at the last look.
func (k *custody) look(c *config.Receiver) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.load(c.StateDir)
	before, out := maps.Clone(k.known), map[string]string{}
	accepted := k.accepted(c.StateDir)
	known := keptRoots{}
	for _, m := range c.Modules {
		v := k.known.judgeRoot(m)
		if a, ok := accepted[m.Name]; ok && v.there && a.Path == m.Path && len(a.Identity.Compare(v.now)) == 0 {
			v.adopt, v.out = true, ""
			k.log.Info("module directory is accepted as it is", "module", m.Name, "path", m.Path)
		}
		if v.out == "" && !v.there {
			v.out = unmakeable(m.Path)
		}
		if was, ok := k.known[m.Name]; ok {
			known[m.Name] = was
		}
		if v.adopt {
			known[m.Name] = kept{m.Path, v.now}
		}
		if v.out != "" {
			out[m.Name] = v.out
		}
	}
	k.known = known
	k.keep(c.StateDir, before, accepted)
	return k.tell(out) || k.moved(before)
}

// load reads the state once. A damaged one knows nothing: it is put aside.
func (k *custody) load(state string) {
	if k.loaded {
		return
	}
	k.loaded = true
	known, err := loadRoots(rootsFile(state))
	if err != nil {
		k.log.Warn("what is known of the modules' directories cannot be read, they are taken as they are", "error", err)
		_ = os.Rename(rootsFile(state), rootsFile(state)+".corrupt") // the next save replaces it anyway
	}
	k.known = known
}

func (k *custody) accepted(state string) keptRoots {
	accepted, err := loadRoots(acceptedFile(state))
	if err != nil {
		k.log.Warn("what was accepted cannot be read", "error", err)
	}
	return accepted
}

// keep writes what changed; what was accepted is used up by then.
func (k *custody) keep(state string, before, accepted keptRoots) {
	if k.moved(before) {
		if err := k.known.save(rootsFile(state)); err != nil {
			k.log.Warn("what is known of the modules' directories cannot be kept, free or repair the state directory", "error", err)
			return
		}
	}
	if len(accepted) == 0 {
		return
	}
	if err := os.Remove(acceptedFile(state)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("what was accepted cannot be removed", "error", err)
	}
}

// moved reports whether another directory is known for a module than before.
func (k *custody) moved(before keptRoots) bool {
	if len(before) != len(k.known) {
		return true
	}
	for name, now := range k.known {
		if was, ok := before[name]; !ok || was.place() != now.place() {
			return true
		}
	}
	return false
}

// tell logs what went out of service and what came back.
func (k *custody) tell(out map[string]string) (changed bool) {
	for name, why := range out {
		if k.out[name] != why {
			k.log.Warn("module is out of service", "module", name, "reason", why)
		}
		changed = changed || k.out[name] == ""
	}
	for name := range k.out {
		if out[name] == "" {
			k.log.Info("module is back in service", "module", name)
			changed = true
		}
	}
	k.out = out
	return changed
}

// outOfService returns why modules are, by name.
func (k *custody) outOfService() map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.out)
}

// notice is what masters are told.
func (k *custody) notice(root bool, c *config.Receiver) rsyncd.Notice {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := rsyncd.Notice{Links: "kept", Owners: "kept", Boot: bootMark(), Modules: map[string]rsyncd.ModuleNotice{}}
	if !root {
		n.Links, n.Owners = "munged", "lost"
	}
	for _, m := range c.Modules {
		if !m.Chroot {
			n.Links = "munged"
		}
		entry := rsyncd.ModuleNotice{Out: k.out[m.Name] != ""}
		if known, ok := k.known[m.Name]; ok && known.Path == m.Path {
			entry.Place = known.place()
		}
		n.Modules[n.Key(m.Name)] = entry
	}
	return n
}

// bootMark is another one after each start of the host.
func bootMark() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return rsyncd.Opaque("boot", strings.TrimSpace(string(id)))
}

// attend looks after the directories until ctx ends and has every change applied.
func (k *custody) attend(ctx context.Context, p pace, current func() *config.Receiver, changed func(context.Context)) error {
	paths := func() []string { return append(modulePaths(current()), acceptedFile(current().StateDir)) }
	return onChange(ctx, p.roots, p.rest, paths, func() error {
		if k.look(current()) {
			changed(ctx)
		}
		return nil
	})
}

func modulePaths(c *config.Receiver) []string {
	var paths []string
	for _, m := range c.Modules {
		paths = append(paths, m.Path)
	}
	return paths
}
