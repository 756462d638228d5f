package status

import (
	"errors"
	"net"
	"path/filepath"
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
