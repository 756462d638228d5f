package rsync

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// TestDrainsIn reads lines as a kernel wrote them.
func TestDrainsIn(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for _, tt := range []struct {
		line string
		dest Dest
		want bool
	}{
		{"1: 010A4D0A:B378 0B0A4D0A:0369 04 000A1F92:00000000 01:00000069", Dest{Host: "10.77.10.11"}, true},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 04 000A1F92:00000000 01:00000069", Dest{Host: "10.77.10.12"}, false},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 04 000A1F92:00000000 01:00000069", Dest{Host: "10.77.10.11", Port: 874}, false},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 04 000A1F92:00000000 01:00000069", Dest{Host: "slave.example"}, true},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 0B 000A1F92:00000000 01:00000069", Dest{Host: "10.77.10.11"}, true},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 01 000A1F92:00000000 01:00000069", Dest{Host: "10.77.10.11"}, false},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 05 00000000:00000000 01:00000069", Dest{Host: "10.77.10.11"}, false},
		{"1: 010A4D0A:B378 0B0A4D0A:0016 04 000A1F92:00000000 01:00000069", Dest{Host: "10.77.10.11", SSH: &SSH{}}, true},
		{"1: 0000000000000000FFFF0000010A4D0A:B378 0000000000000000FFFF00000B0A4D0A:0369 04 00000009:00000000", Dest{Host: "10.77.10.11"}, true},
		{"1: B80D0120000000000000000001000000:B378 B80D0120000000000000000002000000:0369 09 00000002:00000000", Dest{Host: "2001:db8::2"}, true},
		{"1: 010A4D0A:B378 0B0A4D0A:0369 04 00000001:00000000 01:00000069", Dest{Host: "10.77.10.11"}, false},
		{"1: short", Dest{Host: "10.77.10.11"}, false},
	} {
		if got := tt.dest.drainsIn(bufio.NewScanner(strings.NewReader(head + tt.line + "\n"))); got != tt.want {
			t.Errorf("%s, %s: %v", tt.dest.Address(), tt.line, got)
		}
	}
}

// TestDraining: a connection whose other side takes nothing drains once it is closed,
// and no more when that is gone.
func TestDraining(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dest := Dest{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	_, _ = client.Write(make([]byte, 64<<20)) // as much as the kernel takes
	if dest.Draining() {
		t.Error("an open connection is said to drain")
	}
	client.Close()
	if !dest.Draining() {
		t.Error("a closed connection with data is not said to drain")
	}
	server.Close()
	for end := time.Now().Add(20 * time.Second); dest.Draining(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it drains for ever")
		}
	}
}
