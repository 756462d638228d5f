package rsyncd

import (
	"slices"
	"strings"
)

// What daemon-parm.txt of rsync 3.5.0 lists beyond what has a field here.
const (
	globalNames = "address|daemon chroot|daemon gid|daemon uid|listen backlog|motd file|pid file" +
		"|port|proxy protocol|proxy protocol hosts|socket options"
	moduleNames = "charset|dont compress|early exec|exclude from|filter|forward lookup|ignore errors" +
		"|ignore nonreadable|include|include from|insecure links|lock file|log file|max verbosity" +
		"|name converter|open noatime|outgoing chmod|post-xfer exec|pre-xfer exec|syslog facility" +
		"|syslog tag|temp dir"
)

func isGlobal(name string) bool {
	return slices.ContainsFunc(strings.Split(globalNames, "|"), func(n string) bool {
		return canonical(n) == canonical(name)
	})
}

// names lists every parameter of the daemon.
func names() []string {
	out := strings.Split(globalNames+"|"+moduleNames, "|")
	for _, p := range (&Module{}).params() {
		out = append(out, p.name)
	}
	return out
}

func known(name string) bool {
	return slices.ContainsFunc(names(), func(n string) bool { return canonical(n) == canonical(name) })
}

// nearest returns the known parameter that takes the fewest edits.
func nearest(name string) string {
	return slices.MinFunc(names(), func(a, b string) int {
		return edits(canonical(name), canonical(a)) - edits(canonical(name), canonical(b))
	})
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
