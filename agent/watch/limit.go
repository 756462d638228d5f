package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"syncagent/agent/tree"
)

// Need compares what watching a tree takes with what the kernel allows this
// user. The limits hold for all processes of a user together.
type Need struct {
	// Directories that are to be watched, one watch each; the tree takes one more, for
	// the marker of Flush.
	Directories int
	// Limit is fs.inotify.max_user_watches, or the smaller user.max_inotify_watches.
	Limit int
	// Used is the number of watches this user's processes hold, as far as they can
	// be seen.
	Used int
	// Own is how many of Used belong to processes that watch this very tree
	// already, as a running agent does.
	Own int
	// Instances is fs.inotify.max_user_instances; a watched tree takes one.
	Instances int
	// InstancesUsed is the number of instances this user's processes hold.
	InstancesUsed int
}

const (
	watchesKey   = "fs.inotify.max_user_watches"
	instancesKey = "fs.inotify.max_user_instances"
	// leastWatches is what a raised limit is at least: about 0.5 GB of kernel
	// memory if it were ever used up, and what common editors recommend.
	leastWatches = 524_288
	// watchHeadroom and instanceHeadroom are left for other programs and growth.
	watchHeadroom    = 2048
	instanceHeadroom = 8
)

// CheckLimit counts the directories below root, mounted file systems included
// and symlinks not followed, and reads the limits. A nil excludes excludes nothing.
func CheckLimit(root string, excludes func(p tree.Path, dir bool) bool) (Need, error) {
	dir := rootDir{path: filepath.Clean(root)}
	if err := dir.pin(); err != nil {
		return Need{}, err
	}
	n := Need{Limit: watchLimit(), Instances: sysctl(instancesKey)}
	n.Used, n.Own, n.InstancesUsed = inotifyUse(dir.id)
	var err error
	n.Directories, err = countDirs(dir, excludes)
	return n, err
}

// Plus returns what both trees need together.
func (n Need) Plus(m Need) Need {
	return Need{
		Directories: n.Directories + m.Directories,
		Own:         n.Own + m.Own,

		Limit:         max(n.Limit, m.Limit),
		Used:          max(n.Used, m.Used),
		Instances:     max(n.Instances, m.Instances),
		InstancesUsed: max(n.InstancesUsed, m.InstancesUsed),
	}
}

// Watches returns how many watches there must be, some headroom included.
func (n Need) Watches() int {
	return n.Directories + max(0, n.Used-n.Own) + watchHeadroom
}

// Sysctl returns the line to put into a file in /etc/sysctl.d, or several,
// joined by newlines; "" when the limits are high enough or cannot be read.
func (n Need) Sysctl() string {
	var lines []string
	if n.Limit > 0 && n.Watches() > n.Limit {
		lines = append(lines, fmt.Sprintf("%s = %d", watchesKey, roundUp(n.Watches()*2, leastWatches)))
	}
	if n.Instances > 0 && n.InstancesUsed+instanceHeadroom > n.Instances {
		lines = append(lines, fmt.Sprintf("%s = %d", instancesKey, roundUp(n.Instances*2, 512)))
	}
	return strings.Join(lines, "\n")
}

// raiseWatches returns the line that at least doubles the limit, for when it was
// reached and counting would take too long.
func raiseWatches() string {
	return fmt.Sprintf("%s = %d", watchesKey, roundUp(watchLimit()*2, leastWatches))
}

// roundUp returns the smallest power of two that is neither below n nor below least,
// itself a power of two.
func roundUp(n, least int) int {
	for least < n {
		least *= 2
	}
	return least
}

// watchLimit returns how many watches this user may have; 0 when unknown.
func watchLimit() int {
	limit := sysctl(watchesKey)
	if own := sysctl("user.max_inotify_watches"); own > 0 && own < limit {
		return own
	}
	return limit
}

// sysctl returns the number a kernel setting has; 0 when it cannot be read.
func sysctl(key string) int {
	data, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// countDirs counts the root and what is below it. A directory that cannot be
// read counts as one.
func countDirs(dir rootDir, excludes func(p tree.Path, dir bool) bool) (int, error) {
	n := 0
	seen := make(map[inode]bool)
	todo := []tree.Path{tree.Root}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		f, id, err := dir.open(p)
		switch {
		case err == nil && !seen[id]:
		case p == tree.Root:
			return 0, fmt.Errorf("count directories below %s: %w", dir.path, err)
		case errors.Is(err, os.ErrPermission):
			n++
			continue
		default: // gone meanwhile, or mounted twice
			if f != nil {
				f.Close()
			}
			continue
		}
		n++
		seen[id] = true
		_ = subdirs(f, func(name string) {
			if kid := p.Join(name); excludes == nil || !excludes(kid, true) {
				todo = append(todo, kid)
			}
		})
	}
	return n, nil
}
