package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds the components looked at, as the kernel bounds links.
const maxLinks = 255

// resolve returns where path is when root, or with "" nothing, is put for "/":
// with every link followed inside of it, since an absolute link of an image must
// not lead to the running host. What does not exist is kept as it is written.
func resolve(r Reader, root, path string) (string, error) {
	done, rest := "/", path
	for range maxLinks {
		part, tail, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
		if part == "" {
			return filepath.Join("/", root, done), nil
		}
		next := filepath.Join(done, part)
		st, err := r.Lstat(filepath.Join("/", root, next))
		switch {
		case err != nil && !missing(err):
			return "", err
		case err == nil && st.Mode.Type() == fs.ModeSymlink:
			if filepath.IsAbs(st.Link) {
				done = "/"
			}
			rest = st.Link + "/" + tail
		default:
			done, rest = next, tail
		}
	}
	return "", fmt.Errorf("resolve %s in %s: too many links", path, root)
}

// missing also covers a path below something that is not a directory; making
// that directory fails with a better message.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
