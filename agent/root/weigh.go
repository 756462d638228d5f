package root

import (
	"os"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// Weight is what Weigh found.
type Weight struct {
	Heavy bool        // there is more than was looked at
	Large []tree.Path // files of the size asked for or more, if not Heavy
}

// Weigh looks at the directory p with its subdirectories. It is heavy when it holds
// at least so many entries, or so many bytes in files that are not large
// themselves. Weigh stops as soon as it knows, so that it costs no more than
// looking at that many entries. What cannot be read weighs nothing.
func (r *Root) Weigh(p tree.Path, entries int, large int64) Weight {
	var w Weight
	bytes := large
	for todo := []tree.Path{p}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, e := range r.inside(dir, entries) {
			switch entries--; {
			case e.stat.IsDir():
				todo = append(todo, e.path)
			case !e.stat.IsRegular():
			case e.stat.Size >= large:
				w.Large = append(w.Large, e.path)
			default:
				bytes -= e.stat.Size
			}
			if entries <= 0 || bytes <= 0 {
				return Weight{Heavy: true}
			}
		}
	}
	return w
}

// inside returns up to n of the entries directly in the directory p.
func (r *Root) inside(p tree.Path, n int) []step {
	at, _ := r.openDir(p)
	if at < 0 {
		return nil
	}
	defer r.closeDir(at)
	fd, err := retry(func() (int, error) {
		return unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil
	}
	dir := os.NewFile(uintptr(fd), string(p))
	defer dir.Close()
	names, _ := dir.Readdirnames(n)
	list := make([]step, 0, len(names))
	for _, name := range names {
		if e := statAt(fd, p.Join(name)); e.err == nil {
			list = append(list, e)
		}
	}
	return list
}
