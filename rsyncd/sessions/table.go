package sessions

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// silence is after how many unanswered retransmissions a peer is gone. Each takes
// twice as long as the one before, from a fifth of a second on where lines are
// short: six are twelve seconds.
const silence = 6

// The states of TCP sockets, of the kernel's include/net/tcp_states.h.
const (
	stateClose     = 0x07
	stateCloseWait = 0x08
	stateLastAck   = 0x09
	stateListen    = 0x0A
	stateClosing   = 0x0B
)

// table knows the sockets of this network namespace by inode.
type table struct {
	tcp  map[string]socket
	unix map[string]bool
}

type socket struct {
	state, retries int
	port, peer     string // in hexadecimal
}

// dead reports whether nobody is at the other end.
func (s socket) dead() bool {
	switch s.state {
	case stateClose, stateCloseWait, stateLastAck, stateClosing:
		return true
	}
	return s.retries >= silence
}

func readTable() (table, error) {
	t := table{tcp: map[string]socket{}, unix: map[string]bool{}}
	for _, name := range []string{"tcp", "tcp6"} {
		if err := eachLine("/proc/net/"+name, t.addTCP); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	return t, eachLine("/proc/net/unix", t.addUnix)
}

func eachLine(name string, take func(fields []string)) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read sockets: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		take(strings.Fields(lines.Text()))
	}
	return lines.Err()
}

// addTCP takes "sl local remote st tx:rx tr:when retrnsmt uid timeout inode".
func (t table) addTCP(f []string) {
	if len(f) < 10 {
		return
	}
	state, err := strconv.ParseInt(f[3], 16, 32)
	retries, err2 := strconv.ParseInt(f[6], 16, 32)
	if err == nil && err2 == nil { // else the heading
		_, port, _ := strings.Cut(f[1], ":")
		t.tcp[f[9]] = socket{int(state), int(retries), port, f[2]}
	}
}

// addUnix takes "num refcount protocol flags type st inode path".
func (t table) addUnix(f []string) {
	if len(f) > 6 {
		t.unix[f[6]] = true
	}
}

// ports are those that a process listens on.
func (t table) ports(pid int) map[string]bool {
	ports := map[string]bool{}
	for _, inode := range sockets(pid) {
		if s, ok := t.tcp[inode]; ok && s.state == stateListen {
			ports[s.port] = true
		}
	}
	return ports
}

// deadEnd returns the inode of a session's connection to one of the ports if nobody
// is at its other end, else "". A connection that stands in no table was reset. What
// else a process holds, as to a directory service, says nothing.
func (t table) deadEnd(pid int, ports map[string]bool) string {
	reset := ""
	for _, inode := range sockets(pid) {
		s, tcp := t.tcp[inode]
		switch {
		case tcp && ports[s.port] && s.state != stateListen && s.dead():
			return inode
		case tcp && ports[s.port] && s.state != stateListen:
			return ""
		case !tcp && !t.unix[inode]:
			reset = inode
		}
	}
	return reset
}

// sockets lists the inodes of the sockets that a process holds.
func sockets(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var list []string
	for _, fd := range fds {
		link, err := os.Readlink(dir + "/" + fd.Name())
		if inode, ok := strings.CutPrefix(link, "socket:["); err == nil && ok {
			list = append(list, strings.TrimSuffix(inode, "]"))
		}
	}
	return list
}
