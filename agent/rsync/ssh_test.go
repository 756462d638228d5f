package rsync_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syncagent/agent/rsync"
	"syncagent/rsyncd/rsyncdtest"
)

// sshWorld is a source and a slave that is reached by ssh.
type sshWorld struct {
	*testing.T
	src, dst string
	sshd     *rsyncdtest.SSHD
	cfg      rsync.Config
}

func newSSHWorld(t *testing.T) *sshWorld {
	children := spawner(t)
	w := &sshWorld{T: t, src: t.TempDir(), dst: filepath.Join(t.TempDir(), `it's [1] $(x) "*"`), sshd: rsyncdtest.StartSSHD(t)}
	must(t, os.Mkdir(w.dst, 0o755))
	w.cfg = rsync.Config{
		Source: w.src, Spawner: children,
		Dest: rsync.Dest{Host: "127.0.0.1", Dir: w.dst, SSH: &rsync.SSH{Port: w.sshd.Port, KeyFile: w.sshd.KeyFile, KnownHosts: w.sshd.KnownHosts}},
	}
	return w
}

func (w *sshWorld) write(name, text string) {
	w.Helper()
	file := filepath.Join(w.src, name)
	must(w.T, os.MkdirAll(filepath.Dir(file), 0o755))
	must(w.T, os.WriteFile(file, []byte(text), 0o644))
}

func (w *sshWorld) send(b rsync.Batch) rsync.Outcome {
	w.Helper()
	return w.sendBy(rsync.New(w.cfg), b)
}

func (w *sshWorld) sendBy(c *rsync.Client, b rsync.Batch) rsync.Outcome {
	w.Helper()
	dir, err := os.Open(w.src)
	must(w.T, err)
	defer dir.Close()
	return c.Send(w.Context(), dir, b)
}

func (w *sshWorld) has(name, text string) {
	w.Helper()
	if got, err := os.ReadFile(filepath.Join(w.dst, name)); err != nil || string(got) != text {
		w.Errorf("%s is %q, %v", name, got, err)
	}
}

// TestSSH sends, deletes and compares as with a daemon; no shell reads a name.
func TestSSH(t *testing.T) {
	w := newSSHWorld(t)
	const odd = "a b/$(touch PWN)`x`';[1]*\n"
	w.write(odd, "1")
	w.write("deep/x/y", "2")
	must(t, os.Symlink("/etc/passwd", filepath.Join(w.src, "link")))
	must(t, os.WriteFile(filepath.Join(w.dst, "gone"), nil, 0o644))
	out := w.send(rsync.Batch{Send: paths(odd, "link"), Gone: paths("gone"), Deep: paths("deep")})
	if out.Err != nil || len(out.Failed) > 0 || out.Stats.Deletes != 1 {
		t.Errorf("%+v", out)
	}
	w.has(odd, "1")
	w.has("deep/x/y", "2")
	if to, err := os.Readlink(filepath.Join(w.dst, "link")); err != nil || to != "/etc/passwd" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if _, err := os.Lstat(filepath.Join(w.dst, "gone")); !os.IsNotExist(err) {
		t.Errorf("gone: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(w.dst, "deep/extra"), nil, 0o644))
	dir, err := os.Open(w.src)
	must(t, err)
	defer dir.Close()
	d, err := rsync.New(w.cfg).Compare(t.Context(), dir, paths(""), false, nil)
	if err != nil || len(d.Extras) != 1 || d.Extras[0].Path != "deep/extra" || len(d.Differ) != 1 || d.Differ[0].Path != "deep" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestSSHPathFails: a path that the slave does not take is named, the others
// are confirmed.
func TestSSHPathFails(t *testing.T) {
	w := newSSHWorld(t)
	w.write("good", "1")
	w.write("bad", "1")
	must(t, os.MkdirAll(filepath.Join(w.dst, "bad/full"), 0o755))
	out := w.send(rsync.Batch{Send: paths("good", "bad")})
	if len(out.Failed) != 1 || out.Failed[0].Path != "bad" || out.Err == nil || out.Err.Class != rsync.Partial {
		t.Errorf("%+v", out)
	}
	w.has("good", "1")
}

// TestSSHWarm: a waiting connection is used.
func TestSSHWarm(t *testing.T) {
	w := newSSHWorld(t)
	c := rsync.New(w.cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Warm(ctx) }()
	for i, text := range []string{"1", "22", "333"} {
		w.write("f", text)
		if out := w.sendBy(c, rsync.Batch{Send: paths("f")}); out.Err != nil {
			t.Errorf("%d: %+v", i, out)
		}
		w.has("f", text)
	}
	cancel()
	must(t, <-done)
}

// TestSSHFails: what keeps ssh from the slave has its class and its remedy, and
// nothing is written.
func TestSSHFails(t *testing.T) {
	w := newSSHWorld(t)
	w.write("f", "1")
	good := *w.cfg.Dest.SSH
	tests := []struct {
		name   string
		change func(*rsync.Dest)
		class  rsync.Class
		hint   string
	}{
		{"unknown host", func(d *rsync.Dest) { d.SSH.KnownHosts = filepath.Join(t.TempDir(), "none") }, rsync.Refused, "ssh-keyscan"},
		{"another host key", func(d *rsync.Dest) { w.sshd.Know(t, w.sshd.KeyFile) }, rsync.Refused, "another key"},
		{"another client key", func(d *rsync.Dest) { d.SSH.KeyFile = w.sshd.HostKey }, rsync.Auth, "authorized_keys"},
		{"no client key", func(d *rsync.Dest) { d.SSH.KeyFile = "/does/not/exist" }, rsync.Auth, "ssh.key_file"},
		{"no server", func(d *rsync.Dest) { d.SSH.Port = freePort(t) }, rsync.Transient, "ssh server running"},
		{"no name", func(d *rsync.Dest) { d.Host = "no-such-host.invalid" }, rsync.Transient, "resolve"},
		{"directory missing", func(d *rsync.Dest) { d.Dir = w.dst + "/none" }, rsync.Refused, "create the target's directory"},
		{"bad option", func(d *rsync.Dest) { d.SSH.Options = []string{"Frob=1"} }, rsync.Usage, "options"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good
			d := rsync.Dest{Host: "127.0.0.1", Dir: w.dst, SSH: &s}
			w.sshd.Know(t, w.sshd.HostKey)
			tt.change(&d)
			w.cfg.Dest = d
			out := w.send(rsync.Batch{Send: paths("f")})
			if out.Err == nil || out.Err.Class != tt.class || !strings.Contains(out.Err.Hint, tt.hint) || len(out.Failed) != 1 {
				t.Errorf("%+v: %v", out.Err, out.Failed)
			}
		})
	}
	if left, err := os.ReadDir(w.dst); err != nil || len(left) > 0 {
		t.Errorf("written: %v, %v", left, err)
	}
}
