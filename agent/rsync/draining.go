package rsync

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// What a killed run wrote last may stand in this host's kernel, which goes on
// delivering it for as long as the line takes: minutes of a slow one, and as long as
// it retransmits over one that is cut. Only then does the slave's side learn that
// nobody is there any more; until then it may complete an old file.

// The states of TCP sockets that nobody holds and whose peer has not confirmed
// everything, of the kernel's include/net/tcp_states.h.
const (
	stateFinWait1 = "04"
	stateLastAck  = "09"
	stateClosing  = "0B"
)

// justClosed is what is not confirmed of a connection when all but its end is.
const justClosed = 1

// Draining reports whether this host still delivers to the destination what a run
// wrote that is gone. A destination given by name is any host with its port.
// Without the kernel's tables it reports false.
func (d Dest) Draining() bool {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		found := d.drainsIn(bufio.NewScanner(f))
		f.Close()
		if found {
			return true
		}
	}
	return false
}

func (d Dest) drainsIn(lines *bufio.Scanner) bool {
	ip, _ := netip.ParseAddr(d.Host) // invalid for a name
	port := d.tcpPort()
	for lines.Scan() {
		// "sl local remote st tx:rx ..." of proc_pid_net(5)
		f := strings.Fields(lines.Text())
		if len(f) < 5 || f[3] != stateFinWait1 && f[3] != stateLastAck && f[3] != stateClosing {
			continue
		}
		sent, _, _ := strings.Cut(f[4], ":")
		if n, err := strconv.ParseUint(sent, 16, 32); err != nil || n <= justClosed {
			continue
		}
		host, hex, _ := strings.Cut(f[2], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err != nil || int(n) != port {
			continue
		}
		if peer, ok := tableAddr(host); !ip.IsValid() || !ok || peer == ip.Unmap().WithZone("") {
			return true
		}
	}
	return false
}

func (d Dest) tcpPort() int {
	switch {
	case d.SSH != nil && d.SSH.Port != 0:
		return d.SSH.Port
	case d.SSH != nil:
		return sshPort
	case d.Port != 0:
		return d.Port
	}
	return DefaultPort
}

// sshPort is the one that ssh takes when it is not told (IANA).
const sshPort = 22

// tableAddr reads an address as the tables show it: words of four bytes in this
// host's order, which is little endian where we run.
func tableAddr(hex string) (netip.Addr, bool) {
	raw := make([]byte, 0, 16)
	for i := 0; i+8 <= len(hex); i += 8 {
		var word uint32
		if _, err := fmt.Sscanf(hex[i:i+8], "%08X", &word); err != nil {
			return netip.Addr{}, false
		}
		raw = append(raw, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}
