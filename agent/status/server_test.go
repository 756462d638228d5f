package status

import (
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// An agent that was killed while it started a process holds its socket until
// that process has begun.
func TestSocketOfADyingAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	dying, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := dying.Accept()
		if err == nil {
			conn.Close()
		}
		dying.Close()
	}()
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestSocketOfAnotherAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	other, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := Listen(socket); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
}

// What keeps a client from an answer is said without the words of HTTP, and with what
// to do.
func TestUnreachable(t *testing.T) {
	c := NewClient("/run/x.sock")
	dial := func(no syscall.Errno) error {
		return &url.Error{Op: "Get", URL: "http://agent/status", Err: &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", no)}}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(syscall.ENOENT), `connect to socket /run/x.sock: no agent is running: start it with "agent run"`},
		{dial(syscall.EACCES), "connect to socket /run/x.sock: permission denied: ask as root, or as the user whom the agent runs as"},
		{&url.Error{Op: "Get", URL: "http://agent/status", Err: io.EOF}, "ask agent on socket /run/x.sock: EOF: look at its log, and ask again"},
	} {
		if got := c.unreachable(t.Context(), tt.err); got.Error() != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
