package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"syncagent/agent/config"
	"syncagent/agent/root"
	"syncagent/rsyncd"
)

// kept is the directory behind a module as the receiver knows it.
type kept struct {
	Path     string        `json:"path"` // as configured
	Identity root.Identity `json:"identity"`
}

// place names the directory without telling anything about it.
func (k kept) place() string {
	raw, err := json.Marshal(k)
	if err != nil {
		return ""
	}
	return rsyncd.Opaque("place", string(raw))
}

// keptRoots are the directories of a receiver by module.
type keptRoots map[string]kept

// The files of the state in which the receiver keeps its modules' directories, and
// in which "agent receiver --accept" leaves what it was told.
func rootsFile(state string) string    { return filepath.Join(state, "receiver.roots") }
func acceptedFile(state string) string { return filepath.Join(state, "receiver.accepted") }

// loadRoots reads one of them; a missing one holds nothing.
func loadRoots(name string) (keptRoots, error) {
	roots := keptRoots{}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return roots, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &roots)
	}
	if err != nil {
		return keptRoots{}, fmt.Errorf("read the modules' directories: %s: %w", name, err)
	}
	return roots, nil
}

func (k keptRoots) save(name string) error {
	data, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return fmt.Errorf("encode the modules' directories: %w", err)
	}
	return replaceFile(name, append(data, '\n'), 0o600)
}

// replaceFile puts a file in place whole, and on disk.
func replaceFile(name string, data []byte, mode fs.FileMode) error {
	tmp := name + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name)) // else a power cut may take the new name back
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: a file system that has no such thing
		return err
	}
	return nil
}

// verdict is what a look at a module's directory says.
type verdict struct {
	now   root.Identity
	there bool
	adopt bool   // now is to be kept from here on
	out   string // why the module cannot be served; "" when it can
}

// judgeRoot looks at a module's directory. One that nobody knows yet is taken as it
// is, and so is another one on the very same file system: an owner who makes it
// anew does no harm, and a disk that is not mounted does not look like that.
func (k keptRoots) judgeRoot(m config.ReceiverModule) verdict {
	was, known := k[m.Name]
	known = known && was.Path == m.Path
	now, err := identify(m.Path)
	v := verdict{now: now, there: err == nil}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !known:
		return v // it is made
	case errors.Is(err, fs.ErrNotExist):
		v.out = fmt.Sprintf("directory %s is missing: mount what belongs there, or have it made by \"agent init slave\"", m.Path)
	case err != nil:
		v.out = fmt.Sprintf("directory %s cannot be looked at (%v): mount what belongs there", m.Path, cause(err))
	case !known:
		v.adopt = true
	default:
		v.compare(was, m)
	}
	return v
}

func (v *verdict) compare(was kept, m config.ReceiverModule) {
	diffs := was.Identity.Compare(v.now)
	if len(diffs) == 0 {
		v.adopt = len(was.Identity.Added(v.now)) > 0
		return
	}
	lost := slices.ContainsFunc(diffs, func(d root.Difference) bool { return d.Path != "" })
	if !lost && was.Identity.SameFilesystem(v.now) {
		v.adopt = true
		return
	}
	v.out = fmt.Sprintf("%s is not what it was (%s): mount the right one, or accept it with \"agent receiver --accept %s\"",
		filepath.Join(m.Path, string(diffs[0].Path)), diffs[0].Problem, m.Name)
}

func identify(path string) (root.Identity, error) {
	r, err := root.Open(path)
	if err != nil {
		return root.Identity{}, err
	}
	defer r.Close()
	return r.Identity()
}

// OutOfService tells why modules of the receiver cannot be served, by name. Nothing
// is changed.
func OutOfService(c *config.Receiver) map[string]string {
	roots, err := loadRoots(rootsFile(c.StateDir))
	if err != nil {
		return nil // the receiver itself will say so
	}
	out := map[string]string{}
	for _, m := range c.Modules {
		if v := roots.judgeRoot(m); v.out != "" {
			out[m.Name] = v.out
		}
	}
	return out
}

// without returns the configuration without the modules that are out of service.
func without(c *config.Receiver, out map[string]string) *config.Receiver {
	served := *c
	served.Modules = slices.DeleteFunc(slices.Clone(c.Modules), func(m config.ReceiverModule) bool { return out[m.Name] != "" })
	return &served
}

// AcceptRoot lets the receiver of c, running or not, serve a module with the
// directory that stands there now. It returns a line that says what was accepted.
func AcceptRoot(c *config.Receiver, module string) (string, error) {
	i := slices.IndexFunc(c.Modules, func(m config.ReceiverModule) bool { return m.Name == module })
	if i < 0 {
		return "", fmt.Errorf("there is no module %q: \"agent config show\" lists them", module)
	}
	m := c.Modules[i]
	now, err := identify(m.Path)
	if err != nil {
		return "", fmt.Errorf("accept directory of module %s: %w: mount it, or have it made by \"agent init slave\"", module, err)
	}
	if OutOfService(c)[module] == "" {
		return fmt.Sprintf("module %s is in service, there is nothing to accept", module), nil
	}
	accepted, err := loadRoots(acceptedFile(c.StateDir))
	if err != nil {
		return "", err
	}
	accepted[module] = kept{m.Path, now}
	if err := accepted.save(acceptedFile(c.StateDir)); err != nil {
		return "", err
	}
	return fmt.Sprintf("module %s: %s is accepted as it is now; a running receiver serves it within seconds", module, m.Path), nil
}
