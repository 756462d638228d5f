package agent

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"syncagent/agent/config"
)

// Holder is a process that listens on a port.
type Holder struct {
	PID  int
	Name string
	Unit string // "" when no service manager started it
}

func (h Holder) String() string {
	if h.Unit == "" {
		return fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
	}
	return fmt.Sprintf("%s (pid %d, unit %s)", h.Name, h.PID, h.Unit)
}

// PortHolder finds who listens on the receiver's address and port, if it is
// not the receiver's own daemon.
func PortHolder(c *config.Receiver) (Holder, bool) {
	own := readPID(stateFile(c, "pid"))
	for _, inode := range listeners(c.Address, c.Port) {
		if pid := ownerOf(inode); pid > 0 && pid != own {
			return Holder{PID: pid, Name: processName(pid), Unit: unitOf(pid)}, true
		}
	}
	return Holder{}, false
}

// portFree fails when another process has the receiver's port.
func portFree(c *config.Receiver) error {
	h, taken := PortHolder(c)
	if !taken {
		return nil
	}
	remedy := fmt.Sprintf("end it, or choose another port in %s", "receiver.yaml")
	if h.Unit != "" {
		remedy = fmt.Sprintf("\"systemctl disable --now %s\", or choose another port in receiver.yaml", h.Unit)
	}
	return fmt.Errorf("port %d is taken by %s: %s", c.Port, h, remedy)
}

// listeners returns the socket inodes that listen on the port at an address
// that collides with ours (proc(5), /proc/net/tcp).
func listeners(address string, port int) []string {
	var inodes []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			fields := strings.Fields(sc.Text())
			if len(fields) > 9 && fields[3] == "0A" && collides(fields[1], address, port) {
				inodes = append(inodes, fields[9])
			}
		}
		f.Close()
	}
	return inodes
}

func collides(local, address string, port int) bool {
	host, hexPort, _ := strings.Cut(local, ":")
	n, err := strconv.ParseUint(hexPort, 16, 16)
	if err != nil || int(n) != port {
		return false
	}
	theirs, ok := kernelAddr(host)
	ours, err := netip.ParseAddr(address)
	return !ok || err != nil || theirs.IsUnspecified() || ours.IsUnspecified() || theirs == ours
}

// kernelAddr reads an address as /proc/net/tcp writes it: words of 32 bits in
// the host's byte order.
func kernelAddr(s string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(s)
	if err != nil {
		return netip.Addr{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}

func ownerOf(inode string) int {
	want := "socket:[" + inode + "]"
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && link == want {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			return pid
		}
	}
	return 0
}

func readPID(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

func processName(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(data))
}

// unitOf reads the systemd unit from the process's control group.
func unitOf(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for _, part := range strings.FieldsFunc(string(data), func(r rune) bool { return r == '/' || r == '\n' }) {
		if strings.HasSuffix(part, ".service") {
			return part
		}
	}
	return ""
}
