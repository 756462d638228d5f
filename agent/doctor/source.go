package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"syncagent/agent/config"
	"syncagent/agent/root"
	"syncagent/agent/watch"
)

// sourceView is what can be seen of a module's source directory.
type sourceView struct {
	path   string // resolved
	empty  bool
	kind   fileSystem
	remote []string // places below with a remote file system, and its name
	dead   []string // mount points below that do not answer
}

// source judges a module's source directory.
func (o Options) source(ctx context.Context, m config.Module) []Finding {
	a := about{"source", m.Name}
	v, err := within(ctx, o.Patience, func() (sourceView, error) { return look(m.Path) })
	if err != nil {
		return []Finding{a.fail(lookRemedy(m.Path, err), "%v", err)}
	}
	return judgeSource(a, m, v)
}

func judgeSource(a about, m config.Module, v sourceView) []Finding {
	list := []Finding{a.ok("%s (%s)", place(m.Path, v.path), v.kind.name)}
	if v.empty {
		list[0] = a.warn("mount its disk, if it should hold something", "%s is empty", place(m.Path, v.path))
	}
	if v.kind.remote {
		v.remote = append([]string{v.path + " (" + v.kind.name + ")"}, v.remote...)
	}
	if len(v.remote) > 0 && m.Watcher != string(watch.Poll) {
		list = append(list, a.warn("change files through this host alone, or set watcher: poll or a shorter sweep.every for the module",
			"the kernel does not tell what other hosts write to %s: only a sweep finds it", strings.Join(v.remote, ", ")))
	}
	if len(v.dead) > 0 {
		list = append(list, a.fail("bring the file system back, or unmount it", "cannot look into %s", strings.Join(v.dead, ", ")))
	}
	return list
}

// look opens the source as the agent does.
func look(path string) (sourceView, error) {
	r, err := root.Open(path)
	if err != nil {
		return sourceView{}, err
	}
	defer r.Close()
	v := sourceView{path: r.Path()}
	if v.empty, err = r.Empty(); err != nil {
		return v, err
	}
	id, err := r.Identity()
	if err != nil {
		return v, err
	}
	v.kind = kindOf(id.FS.Type)
	for _, m := range id.Mounts {
		at := filepath.Join(v.path, string(m.Path))
		switch kind := kindOf(m.FS.Type); {
		case m.Problem != "":
			v.dead = append(v.dead, fmt.Sprintf("%s: %s", at, m.Problem))
		case kind.remote:
			v.remote = append(v.remote, at+" ("+kind.name+")")
		}
	}
	return v, nil
}

// place names a directory and where symlinks lead it.
func place(path, resolved string) string {
	if path == resolved {
		return path
	}
	return path + ", which is " + resolved
}

func lookRemedy(path string, err error) string {
	if errors.Is(err, errPatience) {
		return "look at the mount that holds " + path + ": its server or disk does not answer"
	}
	return remedyOf(path, err)
}

// watches compares the directories of all modules with the kernel's limits,
// which hold for a user as a whole.
func (o Options) watches(ctx context.Context, modules []config.Module) []Finding {
	a := about{"inotify", "this host"}
	var need watch.Need
	var skipped []string
	asked := false
	for _, m := range modules {
		if m.Watcher == string(watch.Poll) {
			continue
		}
		n, err := within(ctx, 0, func() (watch.Need, error) { return o.Inotify.CheckLimit(m.Path, m.Rules.Excludes) })
		if err != nil {
			skipped = append(skipped, m.Name)
			continue
		}
		if !asked {
			need, asked = n, true
			continue
		}
		need = need.Plus(n)
	}
	var list []Finding
	if asked {
		list = append(list, judgeNeed(a, need))
	}
	for _, name := range skipped {
		list = append(list, about{"inotify", name}.warn("bring the source directory back, then ask again", "its directories cannot be counted"))
	}
	return list
}

func judgeNeed(a about, n watch.Need) Finding {
	text := fmt.Sprintf("%d directories to watch, %d watches in use by others, %d allowed; %d of %d instances in use",
		n.Directories, max(0, n.Used-n.Own), n.Limit, n.InstancesUsed, n.Instances)
	if lines := n.Sysctl(); lines != "" {
		return a.fail(sysctlRemedy(lines), "%s", text)
	}
	if n.Limit == 0 || n.Instances == 0 {
		return a.warn("look into /proc/sys/fs/inotify", "%d directories to watch; the kernel's limits cannot be read", n.Directories)
	}
	return a.ok("%s", text)
}

// sysctlRemedy holds the exact lines.
func sysctlRemedy(lines string) string {
	return fmt.Sprintf("put \"%s\" into /etc/sysctl.d/60-syncagent.conf, then \"sysctl --system\"",
		strings.ReplaceAll(lines, "\n", "\" and \""))
}
