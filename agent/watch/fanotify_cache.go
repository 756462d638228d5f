package watch

import "syncagent/agent/tree"

// cachedPaths bounds each of the two halves of a path cache: about 6 MB in all.
const cachedPaths = 16_384

// pathCache remembers where the directories of handles stand in the tree; nowhere
// is an answer, too. It forgets what was not asked for lately: when the young half
// is full, it becomes the old one, whose entries are kept if they are asked for.
type pathCache struct {
	young, old map[string][]tree.Path
}

// get allocates nothing unless it moves an entry to the young half.
func (c *pathCache) get(handle []byte) (paths []tree.Path, ok bool) {
	if paths, ok = c.young[string(handle)]; ok {
		return paths, true
	}
	if paths, ok = c.old[string(handle)]; ok {
		c.put(handle, paths)
	}
	return paths, ok
}

func (c *pathCache) put(handle []byte, paths []tree.Path) {
	if c.young == nil || len(c.young) >= cachedPaths {
		c.young, c.old = make(map[string][]tree.Path), c.young
	}
	c.young[string(handle)] = paths
}

func (c *pathCache) clear() { c.young, c.old = nil, nil }
