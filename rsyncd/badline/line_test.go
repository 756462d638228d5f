package badline

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo answers each line with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

// ask connects, says a few lines and returns the first that comes back.
func ask(t *testing.T, n *Line) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "one\ntwo\nthree\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

// TestStates: what each state answers; and that all that was connected is cut by
// another one.
func TestStates(t *testing.T) {
	n, err := Listen("127.0.0.1", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	held, err := net.Dial("tcp", n.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for _, tt := range []struct {
		state State
		says  string
		err   error
	}{
		{Good, "one\n", nil},
		{Slow, "one\n", nil},
		{Silent, "", os.ErrDeadlineExceeded},
		{Dead, "", syscall.ECONNREFUSED},
		{Crowded, greeting, nil},
		{Good, "one\n", nil},
	} {
		if err := n.Set(tt.state); err != nil {
			t.Fatal(err)
		}
		if says, err := ask(t, n); says != tt.says || !errors.Is(err, tt.err) {
			t.Errorf("state %d: %q, %v", tt.state, says, err)
		}
	}
	_ = held.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := held.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection of before: %v", err)
	}
}

// TestFlapping: it goes down, comes back and, once good, stays.
func TestFlapping(t *testing.T) {
	n, err := Listen("127.0.0.1", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Set(Flapping); err != nil {
		t.Fatal(err)
	}
	for _, up := range []bool{true, false, true} {
		for end := time.Now().Add(20 * time.Second); ; {
			_, err := ask(t, n)
			if (err == nil) == up {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("not seen to be up: %v", up)
			}
		}
	}
}

// TestSlow: three kilobytes take more than a second there and back.
func TestSlow(t *testing.T) {
	n, err := Listen("127.0.0.1", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Set(Slow); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", n.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begin := time.Now()
	_, _ = io.WriteString(c, strings.Repeat("x", 3<<10))
	_, err = io.ReadFull(c, make([]byte, 3<<10))
	if took := time.Since(begin); err != nil || took < time.Second {
		t.Errorf("it took %v: %v", took, err)
	}
}
