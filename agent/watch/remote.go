package watch

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"syncagent/agent/tree"
)

// remoteKinds are file systems that somebody else writes to: another host, or,
// behind FUSE, a process that need not tell the kernel. Their local changes may
// be reported, the others never are.
var remoteKinds = [...]string{
	"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse", "fuseblk", "virtiofs", "9p", "ceph", "afs", "coda", "ncpfs",
	"lustre", "gfs2", "ocfs2", "glusterfs", "beegfs", "gpfs", "orangefs", "pvfs2", "vboxsf", "vmhgfs", "prl_fs", "drvfs",
}

// isRemote reports whether kind is a file system type, as mountinfo names it, of
// which the kernel does not report all changes.
func isRemote(kind string) bool {
	base, _, _ := strings.Cut(kind, ".") // fuse.sshfs
	for _, k := range remoteKinds {
		if k == base {
			return true
		}
	}
	return false
}

// sweeper reports remote file systems in the tree as a whole from time to time.
// The types are taken from mountinfo: statfs(2) can hang with the file system.
type sweeper struct {
	dir      rootDir
	excludes func(p tree.Path, dir bool) bool
	every    time.Duration
	out      *outlet
	mounts   func() []mountLine
	changed  chan struct{}
}

func newSweeper(cfg Config, out *outlet) *sweeper {
	return &sweeper{
		dir: rootDir{path: cfg.Root}, excludes: cfg.Excludes, every: cfg.PollEvery, out: out,
		mounts: currentMounts, changed: make(chan struct{}, 1),
	}
}

// currentMounts returns what is mounted now; nothing when that cannot be read.
func currentMounts() []mountLine {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return mountLines(data)
}

// mounted says that a mount changed. It does not wait.
func (s *sweeper) mounted() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run reports until ctx ends. It sleeps while there is nothing remote.
func (s *sweeper) run(ctx context.Context) error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	ticking := true
	for {
		remote, kinds := s.look()
		s.out.meter.sweeps(sweptWhy(kinds, s.every))
		due := tick.C
		if len(remote) == 0 {
			due = nil
			tick.Stop()
		} else if !ticking {
			tick.Reset(s.every)
		}
		ticking = len(remote) > 0
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-due:
			for _, p := range remote {
				s.out.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: Polled})
			}
		}
	}
}

// look returns the remote file systems of the tree and their types.
func (s *sweeper) look() (remote []tree.Path, kinds []string) {
	lines := s.mounts()
	if root, ok := s.dir.mount(lines); ok && isRemote(root.kind) {
		return []tree.Path{tree.Root}, []string{root.kind}
	}
	for _, m := range lines {
		if !isRemote(m.kind) || !s.dir.below(m.place) {
			continue
		}
		if p := s.dir.rel(m.place); !excludedAt(s.excludes, p) {
			remote, kinds = append(remote, p), append(kinds, m.kind+" at "+string(p))
		}
	}
	return remote, kinds
}

// paths returns the remote file systems of the tree.
func (s *sweeper) paths() []tree.Path {
	remote, _ := s.look()
	return remote
}

func sweptWhy(kinds []string, every time.Duration) string {
	if len(kinds) == 0 {
		return ""
	}
	return fmt.Sprintf("; swept every %s besides, since others may write there unseen: %s", every, strings.Join(kinds, ", "))
}

// mount returns the mount that the root stands on.
func (r rootDir) mount(lines []mountLine) (root mountLine, ok bool) {
	for _, m := range lines {
		at := rootDir{path: m.place}
		if (m.place == r.path || at.below(r.path)) && len(m.place) >= len(root.place) {
			root, ok = m, true
		}
	}
	return root, ok
}

// excludedAt reports whether p or a directory above it is excluded.
func excludedAt(excludes func(p tree.Path, dir bool) bool, p tree.Path) bool {
	for ; p != tree.Root; p = p.Parent() {
		if excludes(p, true) {
			return true
		}
	}
	return false
}
