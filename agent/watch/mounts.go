package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// mounts notices file systems that appear and disappear below a root. Its
// methods do nothing on nil.
type mounts struct {
	dir  rootDir
	file *os.File

	mu  sync.Mutex
	was map[string]string
}

// openMounts notes the mounts that are there now. The file is kept from Go's own
// poller: whoever polls it first is told of a change, and nobody else.
func openMounts(dir rootDir) (*mounts, error) {
	const name = "/proc/self/mountinfo"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	m := &mounts{dir: dir, file: os.NewFile(uintptr(fd), name)}
	if m.was, err = m.read(); err != nil {
		return nil, errors.Join(err, m.file.Close())
	}
	return m, nil
}

func (m *mounts) close() {
	if m != nil {
		m.file.Close()
	}
}

func (m *mounts) read() (map[string]string, error) {
	data, err := io.ReadAll(io.NewSectionReader(m.file, 0, 1<<40))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", m.file.Name(), err)
	}
	return parseMounts(data), nil
}

// follow calls changed for every place below the root where a file system
// appeared or disappeared, until ctx ends (nil) or the root itself is lost.
func (m *mounts) follow(ctx context.Context, changed func(p tree.Path)) error {
	if m == nil {
		return nil
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("wait for mounts: %w", err)
	}
	defer unix.Close(wake)
	// A function that has begun must have ended before its descriptor is closed.
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	for ctx.Err() == nil {
		if err := m.wait(wake); err != nil {
			return err
		}
		if err := m.compare(changed); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when a mount changed (the kernel says so by POLLPRI, see
// proc_pid_mountinfo(5)) or wake is readable.
func (m *mounts) wait(wake int) error {
	fds := []unix.PollFd{
		{Fd: int32(m.file.Fd()), Events: unix.POLLPRI},
		{Fd: int32(wake), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for mounts: %w", err)
		}
	}
}

// compare calls changed for what is mounted otherwise than the last time. What it
// finds when the root is lost it finds again.
func (m *mounts) compare(changed func(p tree.Path)) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := m.read()
	if err != nil {
		return err
	}
	places := changedMounts(m.was, now)
	if len(places) > 0 {
		if err := m.dir.lost(); err != nil {
			return err
		}
	}
	m.was = now
	for _, place := range places {
		if m.dir.below(place) {
			changed(m.dir.rel(place))
		}
	}
	return nil
}

// changedMounts returns the mount points at which another mount stands, in order.
func changedMounts(was, now map[string]string) []string {
	places := make(map[string]bool)
	for place, ids := range now {
		if was[place] != ids {
			places[place] = true
		}
	}
	for place := range was {
		if _, ok := now[place]; !ok {
			places[place] = true
		}
	}
	return slices.Sorted(maps.Keys(places))
}

// parseMounts reads mountinfo: mount point to the ids of what is mounted there,
// the top one last.
func parseMounts(data []byte) map[string]string {
	mounts := make(map[string]string)
	for _, m := range mountLines(data) {
		mounts[m.place] += m.id + " "
	}
	return mounts
}

// mountLine is what a line of mountinfo (proc_pid_mountinfo(5)) says of a mount.
type mountLine struct {
	id    string
	dev   string // major:minor, one a superblock
	place string
	kind  string // type of the file system
}

// mountLines reads mountinfo; lines it does not understand are left out.
func mountLines(data []byte) []mountLine {
	var lines []mountLine
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		if len(f) < 5 || !strings.HasPrefix(f[4], "/") {
			continue
		}
		m := mountLine{id: f[0], dev: f[2], place: unescapeMount(f[4])}
		if i := slices.Index(f, "-"); i > 4 && i+1 < len(f) {
			m.kind = f[i+1]
		}
		lines = append(lines, m)
	}
	return lines
}

// unescapeMount replaces the octal escapes of blanks and backslashes.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
