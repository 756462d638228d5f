package probe_test

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"syncagent/rsyncd/probe"
	"syncagent/rsyncd/rsyncdtest"
)

func TestListens(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{})
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	sixPort := six.Addr().(*net.TCPAddr).Port
	for _, tt := range []struct {
		name      string
		pid, port int
		want      bool
	}{
		{"the daemon on its port", d.PID(), d.Port, true},
		{"we on the daemon's port", os.Getpid(), d.Port, false},
		{"we over IPv6", os.Getpid(), sixPort, true},
		{"the daemon on our port", d.PID(), sixPort, false},
	} {
		if got, err := probe.Listens(tt.pid, tt.port); err != nil || got != tt.want {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
	}
	conn, err := net.Dial("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := probe.Listens(os.Getpid(), d.Port); err != nil || got {
		t.Errorf("a connection is no listener: got %v, %v", got, err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if got, err := probe.Listens(gone.Process.Pid, d.Port); err == nil || got {
		t.Errorf("a process that is gone: got %v, %v", got, err)
	}
}
