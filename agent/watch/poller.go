package watch

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for several descriptors by means of Go's own poller, to which an
// epoll(7) descriptor is a file like any other. A goroutine that sleeps in poll(2)
// would keep the scheduler busy each time it falls asleep: some 60 wake-ups of a
// thread for one event, and one thread more.
type poller struct {
	file *os.File
	conn syscall.RawConn
	due  time.Time // the deadline that is set; zero for none that counts
	woke atomic.Bool
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("set up epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll")}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// add has wait look for input on a descriptor, until that is closed.
func (p *poller) add(fd int) (err error) {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if e := p.conn.Control(func(epoll uintptr) {
		err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, fd, &ev)
	}); e != nil {
		return e
	}
	return err
}

// wake ends the present or the next wait. Anybody may call it.
func (p *poller) wake() {
	p.woke.Store(true) // in case wait sets a deadline after us
	_ = p.file.SetReadDeadline(time.Unix(1, 0))
}

// wait sleeps until due, until it is woken, or until there is input, and returns
// from which descriptors.
func (p *poller) wait(due time.Time, ready []unix.EpollEvent) (n int, err error) {
	if !due.Equal(p.due) {
		if err := p.file.SetReadDeadline(due); err != nil {
			return 0, err
		}
		p.due = due
	}
	if p.woke.Swap(false) {
		p.due = time.Time{}
		return 0, nil
	}
	e := p.conn.Read(func(epoll uintptr) bool {
		n, err = unix.EpollWait(int(epoll), ready, 0)
		return n != 0
	})
	if errors.Is(e, os.ErrDeadlineExceeded) || errors.Is(err, unix.EINTR) {
		p.due = time.Time{}
		return 0, nil
	}
	return max(n, 0), errors.Join(e, err)
}

func (p *poller) close() { p.file.Close() }
