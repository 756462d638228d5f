package sessions

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// longestRest is after how long sessions are looked for whatever the kernel said.
const longestRest = 5 * time.Minute

// rest returns when there may be a session, which it is told of by opens.
func rest(ctx context.Context, opens *os.File) {
	_ = opens.SetReadDeadline(time.Now().Add(longestRest))
	defer context.AfterFunc(ctx, func() { _ = opens.SetReadDeadline(time.Unix(1, 0)) })()
	_, _ = opens.Read(make([]byte, 4096)) // whatever ends it is a reason to look
}

// watchOpens returns what can be read from once somebody opens the file, or it is no
// longer the one that stands there (inotify(7)).
func watchOpens(name string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("set up inotify: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	const what = unix.IN_OPEN | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err := unix.InotifyAddWatch(fd, name, what); err != nil {
		f.Close()
		return nil, fmt.Errorf("watch %s: %w", name, err)
	}
	return f, nil
}
