package watch

import (
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// Where nothing says that a file was closed, it counts as written when its size
// stays the same for a while. The while grows with the size: to wait as long as
// sending takes at most doubles the time until a finished file has arrived, and
// what is saved by not sending a part grows the same way. At growSpeed a file of
// 128 KiB waits 2 ms, one of 1 MiB 16 ms, and one above 16 MiB 250 ms, which
// spans the pauses of most writers, slow networks included.
const (
	growSpeed = 64 << 20 // bytes a second
	growMost  = 250 * time.Millisecond
)

// growth judges files by their size.
type growth struct {
	dir   rootDir
	quiet time.Duration // the least wait
}

// rest is how long a file of this size must keep it.
func (g growth) rest(size int64) time.Duration {
	return max(g.quiet, min(growMost, time.Duration(min(size, growSpeed))*time.Second/growSpeed))
}

func (g growth) judge(f *held, _ time.Time) (wait time.Duration, gone bool) {
	var st unix.Stat_t
	err := unix.Lstat(g.dir.abs(f.path), &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == f.size {
		return 0, absent(err)
	}
	f.size = st.Size
	return g.rest(st.Size), false
}

// written answers that p was written to or made. The kind of what stands there
// is looked at, unless p is held back already.
func (b *fsnotifyBackend) written(p tree.Path, abs string, st *unix.Stat_t, op Op) {
	if b.hold.has(p) {
		b.hold.learn(p, op)
		return
	}
	if st == nil {
		st = &unix.Stat_t{}
		if unix.Lstat(abs, st) != nil {
			b.out.emit(Event{Path: p, What: tree.Content, Op: op})
			return
		}
	}
	b.out.linked(p, st)
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		b.out.emit(Event{Path: p, What: tree.Content, Finished: true, Op: op, Kind: KindFile})
		return
	}
	b.hold.hold(p, held{size: st.Size, op: op}, b.growth.rest(st.Size))
}
