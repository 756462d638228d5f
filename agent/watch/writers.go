package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// askFirst is when a file that was written but not closed is asked about for the
	// first time; each further time the wait doubles.
	askFirst = 100 * time.Millisecond
	// askedFresh is how long the answer of one process serves for other files.
	askedFresh = askFirst / 2
	// fdsMost is how many descriptors of a process are looked at.
	fdsMost = 4096
)

// writers judges files of which the kernel did not say that they were closed, by
// whether the process that wrote one has it still open for writing. It need not:
// truncate(2), mknod(2) and the link of a file without a name change files that
// are closed under no name of theirs, and must not wait for Growing.
type writers struct {
	dir   rootDir
	asked map[int32]openFiles
}

// openFiles are the files that a process had open for writing.
type openFiles struct {
	files map[inode]bool
	err   error
	at    time.Time
}

func newWriters(dir rootDir) *writers {
	return &writers{dir: dir, asked: make(map[int32]openFiles)}
}

func (w *writers) judge(f *held, now time.Time) (wait time.Duration, gone bool) {
	var st unix.Stat_t
	err := unix.Lstat(w.dir.abs(f.path), &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, absent(err)
	}
	if f.writer > 0 {
		if a := w.ask(f.writer, now); a.err == nil && !a.files[inode{uint64(st.Dev), st.Ino}] {
			return 0, false
		}
	}
	return 2 * f.waited, false
}

// ask returns what a process has open for writing, as of now or a moment ago.
func (w *writers) ask(pid int32, now time.Time) openFiles {
	for p, a := range w.asked {
		if now.Sub(a.at) > askedFresh {
			delete(w.asked, p)
		}
	}
	a, ok := w.asked[pid]
	if !ok {
		a = openFiles{at: now}
		a.files, a.err = writing(pid)
		w.asked[pid] = a
	}
	return a
}

// writing returns the files that a process has open for writing; none when it is
// gone. See proc_pid_fd(5).
func writing(pid int32) (map[inode]bool, error) {
	name := fmt.Sprintf("/proc/%d/fd", pid)
	dir, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fds, err := dir.Readdirnames(fdsMost)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(fds) == fdsMost {
		return nil, fmt.Errorf("%s holds too many", name)
	}
	files := make(map[inode]bool)
	for _, fd := range fds {
		var link, st unix.Stat_t
		if unix.Lstat(name+"/"+fd, &link) != nil || link.Mode&unix.S_IWUSR == 0 {
			continue
		}
		if unix.Stat(name+"/"+fd, &st) == nil {
			files[inode{uint64(st.Dev), st.Ino}] = true
		}
	}
	return files, nil
}
