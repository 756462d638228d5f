package rsyncdtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// SSHD is an ssh server on a free port of 127.0.0.1, with a host key and a
// configuration of its own, that lets the test's user in by one key.
type SSHD struct {
	Port       int
	KeyFile    string // of the client
	KnownHosts string
	HostKey    string // the server's private key
}

// StartSSHD starts a server that ends with the test. sshd has to be installed.
func StartSSHD(t testing.TB) *SSHD {
	t.Helper()
	dir := t.TempDir()
	s := &SSHD{Port: freePort(t), KeyFile: filepath.Join(dir, "client key"), KnownHosts: filepath.Join(dir, "known hosts"), HostKey: filepath.Join(dir, "host_key")}
	for _, key := range []string{s.KeyFile, s.HostKey} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen must be installed: %v\n%s", err, out)
		}
	}
	conf := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s/authorized\nPidFile none\nStrictModes no\nUsePAM no\n", s.Port, s.HostKey, dir)
	public, err := os.ReadFile(s.KeyFile + ".pub")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "authorized"), public, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config"), []byte(conf), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Know(t, s.HostKey)
	s.run(t, dir)
	return s
}

// Know makes the host's only known key the one of a private key's file.
func (s *SSHD) Know(t testing.TB, key string) {
	t.Helper()
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(public))
	line := fmt.Sprintf("[127.0.0.1]:%d %s %s\n", s.Port, words[0], words[1])
	if err := os.WriteFile(s.KnownHosts, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *SSHD) run(t testing.TB, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		// The server's privilege separation wants this directory; a service
		// makes it when it starts.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd" // not in the PATH of everyone
	}
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("sshd must be installed (openssh-server): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("sshd does not listen:\n%s", text)
		}
	}
}
