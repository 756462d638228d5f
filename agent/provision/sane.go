package provision

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// validate runs the validators until one objects.
func validate(files []File) error {
	for _, f := range files {
		if f.Validate == nil {
			continue
		}
		err := f.Validate(f.Content)
		if err == nil {
			continue
		}
		var p *Problem
		if errors.As(err, &p) {
			return err
		}
		return &Problem{
			Code: CodeInvalid, Path: f.Path,
			Message: fmt.Sprintf("%s would not be valid: %s", f.Path, oneLine(err)),
			Hint:    "nothing was changed; correct the configuration it is made from",
		}
	}
	return nil
}

// sane refuses a wanted state that has no meaning.
func sane(r Reader, want Desired, opt Options) error {
	if opt.Service != serviceSystemd && opt.Service != serviceNone {
		return invalid("", "unknown service manager "+opt.Service, "take auto, systemd or none")
	}
	if opt.Root != "" {
		if st, err := r.Lstat(opt.Root + "/."); err != nil || !st.Mode.IsDir() || !filepath.IsAbs(opt.Root) {
			return invalid(opt.Root, opt.Root+" is not an absolute path of a directory", "create it first")
		}
	}
	for _, f := range want.files() {
		// Writing takes these bits away again unless it is root who writes.
		if f.Mode != f.Mode.Perm() {
			return invalid(f.Path, f.Path+" is wanted setuid, setgid or sticky", "take a plain mode for a file")
		}
	}
	return sanePaths(want)
}

// sanePaths wants every path to stand there once, and none below a file.
func sanePaths(want Desired) error {
	dirs, files := want.paths()
	seen, leaf := map[string]bool{}, map[string]bool{}
	for _, path := range files {
		leaf[path] = true
	}
	for _, path := range append(dirs, files...) {
		switch {
		case !filepath.IsAbs(path) || filepath.Clean(path) != path:
			return invalid(path, fmt.Sprintf("%q is not a clean absolute path", path), "give it from / on, without . and ..")
		case seen[path]:
			return invalid(path, path+" is wanted twice", "name it once")
		case below(leaf, path):
			return invalid(path, path+" is wanted below a file", "choose another path")
		}
		seen[path] = true
	}
	return nil
}

// below tells whether one of the paths is above path.
func below(paths map[string]bool, path string) bool {
	for path != "/" {
		path = filepath.Dir(path)
		if paths[path] {
			return true
		}
	}
	return false
}

// paths returns every path that shall be or have been a directory or a file.
func (d Desired) paths() (dirs, files []string) {
	for _, dir := range d.Dirs {
		dirs = append(dirs, dir.Path)
	}
	if !slices.Contains(dirs, d.StateDir) {
		dirs = append(dirs, d.StateDir)
	}
	for _, f := range d.files() {
		files = append(files, f.Path)
	}
	for _, a := range d.Absent {
		files = append(files, a.Path)
	}
	return dirs, files
}
