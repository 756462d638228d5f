package probe

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Listens reports whether the process itself holds a listening TCP socket on
// port. A greeting alone does not tell our daemon, about to end because the
// port is taken, from the one that took it.
func Listens(pid, port int) (bool, error) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if err := listening(table, port, inodes); err != nil && !os.IsNotExist(err) { // no IPv6
			return false, fmt.Errorf("find who listens on port %d: %w", port, err)
		}
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("find who listens on port %d: %w", port, err)
	}
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err == nil && inodes[link] {
			return true, nil
		}
	}
	return false, nil
}

// listening adds the sockets, named as the links in /proc/PID/fd name them,
// that listen on port. The table's format is in proc_pid_net(5): the second
// field is ADDRESS:PORT in hex, the fourth the state, the tenth the inode.
func listening(table string, port int, inodes map[string]bool) error {
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[3] == stateListen && strings.HasSuffix(fields[1], suffix) {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
	return lines.Err()
}

// stateListen is TCP_LISTEN of the kernel's include/net/tcp_states.h.
const stateListen = "0A"
