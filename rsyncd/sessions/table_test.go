package sessions

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestTableLines reads lines as a kernel wrote them.
func TestTableLines(t *testing.T) {
	tab := table{tcp: map[string]socket{}, unix: map[string]bool{}}
	for _, line := range []string{
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		"   0: 0100007F:0369 0100007F:C5D2 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0 20 4 30 10 -1",
		"   1: 0100007F:0369 0100007F:C5D4 08 00000000:00000001 00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1",
		"   2: 0100007F:0369 0200007F:C5D4 01 00000010:00000000 01:000004D2 00000006     0        0 13 4 0 20 4 30 10 -1",
		"   3: 00000000:0369 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0 100 0 0 10 0",
		"   4: short",
	} {
		tab.addTCP(strings.Fields(line))
	}
	for inode, dead := range map[string]bool{"11": false, "12": true, "13": true, "14": false} {
		if s, ok := tab.tcp[inode]; !ok || s.dead() != dead || s.port != "0369" {
			t.Errorf("%s: %+v", inode, s)
		}
	}
	if len(tab.tcp) != 4 {
		t.Errorf("%d sockets", len(tab.tcp))
	}
}

// TestDeadEnd: a connection is dead once the other side has closed it, and a process
// that holds a live one to the port is not.
func TestDeadEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	look := func() (string, map[string]bool) {
		tab, err := readTable()
		if err != nil {
			t.Fatal(err)
		}
		ports := tab.ports(os.Getpid())
		return tab.deadEnd(os.Getpid(), ports), ports
	}
	if inode, ports := look(); inode != "" || len(ports) != 1 {
		t.Errorf("dead is %q of ports %v", inode, ports)
	}
	client.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		inode, _ := look()
		if inode != "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a closed connection is not seen")
		}
	}
}
