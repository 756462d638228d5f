package rsync

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// Seed says that the directory To, which stands among Batch.Deep, may stand on the
// slave under its old name From.
type Seed struct {
	From, To tree.Path
}

// globs are the characters that the slave's side takes for wildcards in a destination.
const globs = `*?[]\`

// CanSeed reports whether the paths can be given to the slave's side: a line's end
// would end the argument, and a destination that is not there yet keeps the
// backslashes that protect its wildcards.
func (s Seed) CanSeed() bool {
	return !strings.ContainsAny(string(s.To), globs) &&
		s.From != tree.Root && s.To != tree.Root && !s.From.Contains(s.To) && !s.To.Contains(s.From) &&
		!strings.ContainsFunc(string(s.From+s.To), unicode.IsControl)
}

// linkDest is From as it is reached from To. The slave's side reads it there, so that
// it is the same below a module and below a directory of it.
func (s Seed) linkDest() string {
	return strings.Repeat("../", strings.Count(string(s.To), "/")+1) + string(s.From)
}

// at is a directory below the destination, which a daemon makes.
func (d Dest) at(p tree.Path) Dest {
	d.Dir = strings.TrimRight(d.Dir, "/") + "/" + string(p)
	return d
}

// sendSeeds spares the transfer of directories that were renamed: the slave makes
// hard links of what it has under the old name in the same size, time, mode and
// owner (rsync's --link-dest), and gets the rest. Nothing rests on it: the run of
// Deep that follows finds what is not as it should be, and its outcome alone counts.
//
// The old name's entries are links of the new one's until they are deleted, so what
// keeps them must not ask for it. Over ssh there is none of this: a destination that is
// missing is refused there.
func (s *sending) sendSeeds(*Error) *Error {
	if d := s.c.cfg.Dest; d.SSH != nil || strings.ContainsAny(d.Dir, globs) {
		return nil
	}
	deep := newPathSet(s.batch.Deep)
	for _, seed := range s.batch.Seeds {
		if deep[seed.To] && seed.CanSeed() && !s.c.seedless.Load() {
			s.sow(seed)
		}
	}
	return nil
}

func (s *sending) sow(seed Seed) {
	dir, err := s.below(seed.To)
	if err != nil {
		return // it was renamed again
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil || len(names) == 0 {
		return
	}
	paths := make([]tree.Path, 0, len(names))
	for _, n := range names {
		paths = append(paths, tree.Root.Join(n))
	}
	if !s.makeRoom(seed.To) {
		return
	}
	s.out.Stats.Runs++
	rep := s.c.exec(s.ctx, dir, mode{deep: true, seed: seed}, newList(paths), s.out.Stats.countSeed)
	s.out.Cut = s.out.Cut || rep.cut
	switch {
	case rep.err != nil && rep.err.Class == Incompatible:
		s.c.seedless.Store(true) // a daemon takes half a second to refuse an option
		s.fresh = append(s.fresh, seed.To)
	case rep.err == nil:
		s.fresh = append(s.fresh, seed.To)
	}
}

// makeRoom makes the directory and those above it, and reports whether the slave
// lacked it. What a run is given as its destination is followed where the slave has a
// link, and would be written to somewhere else; what is listed takes the link's place.
func (s *sending) makeRoom(to tree.Path) (made bool) {
	rep := s.exec(mode{}, newList([]tree.Path{to}), func(it item) {
		made = made || it.path == to && it.dir && it.created()
	})
	return made && rep.clean()
}

// below opens a directory of the source, without following links.
func (s *sending) below(p tree.Path) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(s.guard.fd, string(p), &how)
	if err != nil {
		return nil, fmt.Errorf("open %q below the source directory: %w", p, err)
	}
	return os.NewFile(uintptr(fd), string(p)), nil
}

// countSeed counts what the slave has now under the new name, where it had nothing:
// 'h' and 'c' stand for what it made of its own.
func (s *Stats) countSeed(it item) {
	switch {
	case it.deleting():
		return
	case it.sent():
		s.Files++
		s.Bytes += it.size
	}
	s.Created++
}
