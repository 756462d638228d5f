package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/proc"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect finds the one answer to a question and compares its level and words.
func expect(t *testing.T, list []Finding, check, subject string, level Level, words ...string) {
	t.Helper()
	var found []Finding
	for _, f := range list {
		if f.Check == check && f.Subject == subject && f.Level == level {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings %s %s %s, want 1; all: %+v", len(found), level, check, subject, list)
	}
	contains(t, found[0], words...)
}

func contains(t *testing.T, f Finding, words ...string) {
	t.Helper()
	text := f.Text + " -> " + f.Remedy
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q lacks %q", text, w)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("%q is more than one line", text)
	}
	if (f.Remedy == "") != (f.Level == OK) {
		t.Errorf("level %s with remedy %q", f.Level, f.Remedy)
	}
}

// absent makes sure that a question was not answered at a level.
func absent(t *testing.T, list []Finding, check string, level Level) {
	t.Helper()
	for _, f := range list {
		if f.Check == check && f.Level == level {
			t.Errorf("unexpected %+v", f)
		}
	}
}

// fakeSystem is a healthy host unless told otherwise.
type fakeSystem struct {
	about    About
	aboutErr error
	version  string
	rsyncErr error
	space    Space
	spaceErr error
}

func healthy() *fakeSystem {
	return &fakeSystem{
		about: About{
			OS: "Debian GNU/Linux 12 (bookworm)", Family: "debian", Kernel: "6.1.0-28-amd64", Arch: "amd64",
			Now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		},
		version: "3.5.0",
		space:   Space{Type: 0xEF53, Total: 100 << 30, Free: 50 << 30, Inodes: 1000, InodesFree: 500},
	}
}

func (s *fakeSystem) About() (About, error) { return s.about, s.aboutErr }

func (s *fakeSystem) Rsync(context.Context) (string, string, error) {
	return "/usr/bin/rsync", s.version, s.rsyncErr
}

func (s *fakeSystem) Space(string) (Space, error) { return s.space, s.spaceErr }

// fakeNetwork answers logins by remote module.
type fakeNetwork struct {
	greeting rsync.Greeting
	greetErr error
	login    map[string]error
}

func (n fakeNetwork) Greet(context.Context, rsync.Dest) (rsync.Greeting, error) {
	return n.greeting, n.greetErr
}

func (n fakeNetwork) Login(_ context.Context, d rsync.Dest, _ rsync.Options) error {
	return n.login[d.Module]
}

func (fakeNetwork) Source(string) string { return "192.0.2.7" }

type fakeInotify map[string]watch.Need // by root; what is not there fails

func (f fakeInotify) CheckLimit(root string, _ func(tree.Path, bool) bool) (watch.Need, error) {
	n, ok := f[root]
	if !ok {
		return n, errors.New("not there")
	}
	return n, nil
}

// spawner starts children for one test.
func spawner(t *testing.T) *proc.Spawner {
	t.Helper()
	s := proc.NewSpawner("")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	return s
}

// listener accepts on the loopback and hands each connection to serve.
func listener(t *testing.T, serve func(net.Conn)) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "127.0.0.1", l.Addr().(*net.TCPAddr).Port
}

// closedPort is one on which nothing listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// master decodes a configuration; its state and password file are in a new
// directory, and the module's path is the one that is given.
func master(t *testing.T, path, rest string) *config.Master {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "pass"), []byte("secret\n"), 0o600))
	text := "state_dir: " + dir + "/state\nsocket: " + dir + "/s\nauth: {user: repl, password_file: " + dir + "/pass}\n" +
		"modules:\n  www: {path: " + path + "}\n" + rest
	c, err := config.DecodeMaster("agent.yaml", []byte(text))
	must(t, err)
	return c
}

func target(name, host string, port int) string {
	return "  " + name + ": {host: " + host + ", port: " + strconv.Itoa(port) + "}\n"
}
