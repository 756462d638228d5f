package root

import "syncagent/agent/tree"

// Below shows everything below the directory p, a directory before what is in
// it, and goes into a directory when enter says so. What cannot be read is left
// out, as is what vanishes meanwhile; no symlink is followed.
func (r *Root) Below(p tree.Path, enter func(q tree.Path, s Stat) bool) {
	for todo := []tree.Path{p}; len(todo) > 0; {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, e := range r.inside(dir, -1) {
			if enter(e.path, e.stat) && e.stat.IsDir() {
				todo = append(todo, e.path)
			}
		}
	}
}
