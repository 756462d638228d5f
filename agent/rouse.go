package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// onChange calls look at once, and then whenever the kernel tells that something else
// may stand at one of the paths or that a file system came or went, but at most once
// every so often; once in a longest time whatever the kernel tells, since it tells
// nothing of what another host did to a network file system. It returns look's error,
// nil when ctx ends.
func onChange(ctx context.Context, every, longest time.Duration, paths func() []string, look func() error) error {
	for ctx.Err() == nil {
		rest := longest
		a, err := newAlarm(paths()) // before the look, so that nothing comes between
		if err != nil {
			rest = every
		}
		if err := look(); err != nil {
			return err
		}
		a.wait(ctx, rest)
		a.close()
		sleepFor(ctx, every)
	}
	return nil
}

func sleepFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// alarm goes off once: when one of its paths, or a directory above it, came, went or was
// moved, or when the mounts of this process changed. A nil one never does.
type alarm struct {
	file   *os.File // an epoll(7), which Go's own poller waits for
	mounts *os.File
	events int // inotify(7)
	was    []byte
	names  map[int32]map[string]bool // by watch, those that count
}

// newAlarm arms it.
func newAlarm(paths []string) (*alarm, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("set up epoll: %w", err)
	}
	err = unix.SetNonblock(epoll, true)
	a := &alarm{file: os.NewFile(uintptr(epoll), "epoll"), events: -1, names: map[int32]map[string]bool{}}
	if err = errors.Join(err, a.arm(epoll, paths)); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *alarm) arm(epoll int, paths []string) (err error) {
	const mounts = "/proc/self/mountinfo"
	fd, err := unix.Open(mounts, unix.O_RDONLY|unix.O_CLOEXEC, 0) // kept from Go's own poller, see rings
	if err != nil {
		return fmt.Errorf("open %s: %w", mounts, err)
	}
	a.mounts = os.NewFile(uintptr(fd), mounts)
	if a.was, err = a.read(); err != nil {
		return err
	}
	if a.events, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return fmt.Errorf("set up inotify: %w", err)
	}
	for _, p := range paths {
		if err := a.follow(p); err != nil {
			return err
		}
	}
	for fd, what := range map[int]uint32{int(a.mounts.Fd()): unix.EPOLLPRI, a.events: unix.EPOLLIN} {
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: what, Fd: int32(fd)}); err != nil {
			return fmt.Errorf("wait for changes: %w", err)
		}
	}
	return nil
}

// follow watches p, and where links lead from there. What stands in a directory above it
// does not matter, unless it is the entry that leads on.
func (a *alarm) follow(p string) error {
	ways := []string{p}
	if real, err := filepath.EvalSymlinks(p); err == nil && real != p {
		ways = append(ways, real)
	}
	for _, way := range ways {
		for leads := true; way != "/"; way = filepath.Dir(way) {
			info, err := os.Lstat(way)
			leads = leads || err != nil || !info.IsDir()
			if err := a.watch(filepath.Dir(way), filepath.Base(way), leads); err != nil {
				return err
			}
			leads = false
		}
	}
	return nil
}

// watch has a directory tell that it was moved, and, where what leads on from it may
// come and go, of that name. A directory above others cannot go before they do.
func (a *alarm) watch(dir, name string, leads bool) error {
	what := uint32(unix.IN_MASK_ADD | unix.IN_MOVE_SELF)
	if leads {
		what |= unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
	}
	wd, err := unix.InotifyAddWatch(a.events, dir, what)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil // the one above it tells
	case err != nil:
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	if a.names[int32(wd)] == nil {
		a.names[int32(wd)] = map[string]bool{}
	}
	a.names[int32(wd)][name] = true
	return nil
}

// wait returns when it goes off, after so long, or when ctx ends.
func (a *alarm) wait(ctx context.Context, most time.Duration) {
	if a == nil {
		sleepFor(ctx, most)
		return
	}
	_ = a.file.SetReadDeadline(time.Now().Add(most))
	defer context.AfterFunc(ctx, func() { _ = a.file.SetReadDeadline(time.Unix(1, 0)) })()
	conn, err := a.file.SyscallConn()
	if err != nil {
		sleepFor(ctx, most)
		return
	}
	_ = conn.Read(func(uintptr) bool { return a.rings() }) // a deadline is a reason to look as any other
}

// rings reports whether something changed since it was armed. The mounts are compared,
// for the kernel tells only the first who asks of a change (proc_pid_mountinfo(5)): here
// the poller that woke us.
func (a *alarm) rings() bool {
	now, err := a.read()
	return err != nil || !bytes.Equal(now, a.was) || a.named()
}

func (a *alarm) read() ([]byte, error) {
	text := bytes.NewBuffer(make([]byte, 0, 32<<10)) // each read is a walk over all mounts
	_, err := text.ReadFrom(io.NewSectionReader(a.mounts, 0, 1<<40))
	return text.Bytes(), err
}

// named reports whether an event is about one of the names.
func (a *alarm) named() bool {
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(a.events, buf)
		if err != nil || n <= 0 {
			return err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
		}
		if a.anyIn(buf[:n]) {
			return true
		}
	}
}

// anyIn takes struct inotify_event of inotify(7): watch, mask, cookie, length, name.
func (a *alarm) anyIn(buf []byte) bool {
	const fixed = unix.SizeofInotifyEvent
	for len(buf) >= fixed {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		end := min(fixed+int(binary.NativeEndian.Uint32(buf[12:])), len(buf)) // the kernel hands out whole ones
		name := bytes.TrimRight(buf[fixed:end], "\x00")
		if mask&(unix.IN_Q_OVERFLOW|unix.IN_MOVE_SELF) != 0 || a.names[wd][string(name)] {
			return true
		}
		buf = buf[end:]
	}
	return false
}

// close lets go of everything.
func (a *alarm) close() {
	if a == nil {
		return
	}
	a.file.Close()
	if a.mounts != nil {
		a.mounts.Close()
	}
	if a.events >= 0 {
		unix.Close(a.events)
	}
}
