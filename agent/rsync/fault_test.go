package rsync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/proc"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// tmpfs mounts a small file system for the slave.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func (w *world) wantErr(o rsync.Outcome, class rsync.Class, failed ...string) {
	w.t.Helper()
	if o.Err == nil || o.Err.Class != class {
		w.t.Errorf("err %v, want class %v", o.Err, class)
	}
	if got := failedPaths(o); !slices.Equal(got, failed) {
		w.t.Errorf("failed %v, want %q", o.Failed, failed)
	}
	if o.Err != nil && strings.Contains(o.Err.Error(), "/proc/self/fd") {
		w.t.Errorf("error names the descriptor: %v", o.Err)
	}
}

func TestFaultOfTheWholeTarget(t *testing.T) {
	w := newWorld(t, "[ro]", "read only = yes", "path = /", "[auth]", "path = /", "auth users = joe", "secrets file = /nonexistent",
		"[nodir]", "path = /nonexistent", "[uid]", "path = /", "uid = nosuchuser", "[full]", "path = /", "max connections = -1", "lock file = /nonexistent/x",
		"[deny]", "path = /", "hosts allow = 192.0.2.1", "[nodelete]", "path = /", "refuse options = delete")
	w.write("f", "1")
	secret := filepath.Join(t.TempDir(), "pass")
	must(t, os.WriteFile(secret, []byte("top-secret\n"), 0o600))
	open := filepath.Join(t.TempDir(), "open")
	must(t, os.WriteFile(open, []byte("top-secret\n"), 0o644))
	dest := func(change func(*rsync.Dest)) rsync.Dest {
		d := w.dest
		change(&d)
		return d
	}
	module := func(m string) rsync.Dest { return dest(func(d *rsync.Dest) { d.Module = m }) }
	auth := func(file string) rsync.Dest {
		return dest(func(d *rsync.Dest) { d.Module, d.User, d.PasswordFile = "auth", "joe", file })
	}
	for _, tt := range []struct {
		name  string
		dest  rsync.Dest
		class rsync.Class
	}{
		{"read-only module", module("ro"), rsync.ReadOnly},
		{"wrong password", auth(secret), rsync.Auth},
		{"no password", auth(""), rsync.Auth},
		{"password readable by others", auth(open), rsync.Auth},
		{"password file missing", auth("/nonexistent"), rsync.Auth},
		{"unknown module", module("nosuch"), rsync.Refused},
		{"address denied", module("deny"), rsync.Refused},
		{"module without directory", module("nodir"), rsync.Refused},
		{"unknown uid", module("uid"), rsync.Refused},
		{"max connections", module("full"), rsync.Transient},
		{"deletes refused", module("nodelete"), rsync.Incompatible},
		{"missing directory below the module", dest(func(d *rsync.Dest) { d.Dir = "no/such" }), rsync.Refused},
		{"nothing listens", dest(func(d *rsync.Dest) { d.Port = freePort(t) }), rsync.Transient},
		{"host unknown", dest(func(d *rsync.Dest) { d.Host = "nosuch.invalid" }), rsync.Transient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t, w.dest = t, tt.dest
			o := w.send(rsync.Batch{Gone: paths("gone"), Deep: paths("")})
			w.wantErr(o, tt.class, "", "gone")
			if o.Err == nil {
				return
			}
			if strings.Contains(fmt.Sprintf("%v %+v", o.Err, o), "top-secret") {
				t.Error("the password is in the outcome")
			}
			if o.Err.Class.Blocked() && o.Err.Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

// A slave that cannot delete listed paths still gets the content.
func TestIncapableSlaveGetsContent(t *testing.T) {
	w := newWorld(t, "refuse options = delete-missing-args")
	w.write("f", "1")
	w.slave("gone", "1")
	o := w.send(rsync.Batch{Send: paths("f"), Gone: paths("gone")})
	w.wantErr(o, rsync.Incompatible, "gone")
	if _, err := os.Lstat(filepath.Join(w.dst, "f")); err != nil {
		t.Error(err)
	}
}

func TestDiskFull(t *testing.T) {
	w := newWorldOn(t, tmpfs(t, "size=4m"))
	w.write("big", strings.Repeat("x", 6<<20))
	names := paths("big")
	for i := range 20 {
		name := fmt.Sprintf("s%02d", i)
		w.write(name, name)
		names = append(names, tree.Path(name))
	}
	o := w.send(rsync.Batch{Send: names})
	if o.Err == nil || o.Err.Class != rsync.DiskFull || !o.Err.Class.Blocked() {
		t.Fatalf("err %v", o.Err)
	}
	// What is confirmed must be there, byte by byte; big must not.
	failed := failedPaths(o)
	if !slices.Contains(failed, "big") {
		t.Fatalf("failed %v", failed)
	}
	want, got := manifest(t, w.src), manifest(t, w.dst)
	for _, p := range names {
		if !slices.Contains(failed, string(p)) && got[string(p)] != want[string(p)] {
			t.Errorf("%s is confirmed but differs", p)
		}
	}
	w.remove("big")
	w.clean(w.send(rsync.Batch{Send: names[1:]}))
	w.same()
}

// The file that is sent over one of equal size and time must not pass for
// equal when the run broke off.
func TestDiskFullDoesNotConfirmByTime(t *testing.T) {
	w := newWorldOn(t, tmpfs(t, "size=4m"))
	stamp := time.Unix(1_600_000_000, 1)
	for _, root := range []string{w.src, w.dst} {
		for i := range 9 {
			name := filepath.Join(root, fmt.Sprintf("z%d", i))
			writeFile(t, name, filepath.Base(root)[:1]+"-content")
			must(t, os.Chtimes(name, stamp, stamp))
		}
	}
	w.write("big", strings.Repeat("x", 6<<20))
	names := paths("big")
	for i := range 9 {
		names = append(names, tree.Path(fmt.Sprintf("z%d", i)))
	}
	o := w.send(rsync.Batch{Send: names})
	failed := failedPaths(o)
	want, got := manifest(t, w.src), manifest(t, w.dst)
	for _, p := range names {
		if !slices.Contains(failed, string(p)) && got[string(p)] != want[string(p)] {
			t.Errorf("%s is confirmed but differs", p)
		}
	}
	if o.Err == nil || o.Err.Class != rsync.DiskFull {
		t.Errorf("err %v", o.Err)
	}
}

func TestNoInodes(t *testing.T) {
	w := newWorldOn(t, tmpfs(t, "size=4m,nr_inodes=4"))
	var names []tree.Path
	for i := range 8 {
		name := fmt.Sprintf("s%d", i)
		w.write(name, "x")
		names = append(names, tree.Path(name))
	}
	o := w.send(rsync.Batch{Send: names})
	if o.Err == nil || o.Err.Class != rsync.DiskFull || len(o.Failed) < 5 || len(o.Failed) > 7 {
		t.Fatalf("err %v, failed %v", o.Err, o.Failed)
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dst := tmpfs(t, "size=4m")
	w := newWorldOn(t, dst)
	must(t, unix.Mount("", dst, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	w.write("d/f", "x")
	o := w.send(rsync.Batch{Send: paths("d/f")})
	w.wantErr(o, rsync.ReadOnly, "d", "d/f")
}

// Rsync runs as somebody who may not read all.
func TestUnreadableSource(t *testing.T) {
	w := newWorld(t)
	w.sp2user(65534)
	w.write("ok", "1")
	w.write("secret", "1")
	w.write("closed/f", "1")
	must(t, os.Chmod(filepath.Join(w.src, "secret"), 0))
	must(t, os.Chmod(filepath.Join(w.src, "closed"), 0o700))
	for dir := w.src; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	o := w.send(rsync.Batch{Send: paths("ok", "secret")})
	w.wantErr(o, rsync.Partial, "secret")
	o = w.send(rsync.Batch{Deep: paths("")})
	failed := failedPaths(o)
	for _, want := range []string{"", "closed", "secret"} {
		if !slices.Contains(failed, want) {
			t.Errorf("failed %q lacks %q", failed, want)
		}
	}
	if o.Err == nil || o.Err.Class != rsync.Partial {
		t.Errorf("err %v", o.Err)
	}
}

// sp2user lets the client's processes run as uid.
func (w *world) sp2user(uid uint32) { w.as = &syscall.Credential{Uid: uid, Gid: uid} }

type asUser struct {
	*proc.Spawner
	cred *syscall.Credential
}

func (a asUser) Start(cmd *exec.Cmd) (*proc.Child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.cred}
	return a.Spawner.Start(cmd)
}

func TestImmutableFileFailsAlone(t *testing.T) {
	w := newWorld(t)
	w.write("d/f", "new")
	w.write("d/g", "new")
	w.slave("d/f", "old")
	bind := filepath.Join(w.dst, "d/f") // a mount point cannot be renamed over
	must(t, unix.Mount(bind, bind, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(bind, unix.MNT_DETACH)) })
	o := w.send(rsync.Batch{Send: paths("d/f", "d/g")})
	w.wantErr(o, rsync.Partial, "d/f")
}

func TestVanishesWhileSent(t *testing.T) {
	w := newWorld(t)
	w.opts.Bwlimit = "2M"
	w.refuse("bwlimit")
	w.write("a", strings.Repeat("x", 4<<20))
	w.write("z", "1")
	w.write("keep", "1")
	w.whenTemp(func() { w.remove("z"); w.remove("a") })
	o := w.send(rsync.Batch{Send: paths("a", "keep", "z")})
	if got := failedPaths(o); !slices.Contains(got, "z") || slices.Contains(got, "keep") {
		t.Errorf("failed %v, err %v", o.Failed, o.Err)
	}
	for _, f := range o.Failed {
		if f.Class != rsync.Transient {
			t.Errorf("%+v", f)
		}
	}
}

func TestChangesWhileSent(t *testing.T) {
	w := newWorld(t)
	w.opts.Bwlimit = "2M"
	w.refuse("bwlimit")
	w.write("a", strings.Repeat("x", 4<<20))
	w.write("b", "1")
	w.whenTemp(func() {
		f, err := os.OpenFile(filepath.Join(w.src, "a"), os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt([]byte("torn"), 0)
		must(t, err)
		must(t, f.Close())
	})
	o := w.send(rsync.Batch{Send: paths("a", "b")})
	w.wantErr(o, rsync.Partial, "a")
	if len(o.Failed) == 1 && o.Failed[0].Class != rsync.Transient {
		t.Errorf("%+v", o.Failed[0])
	}
}

// refuse lets the module take one more option.
func (w *world) refuse(allow string) {
	w.t.Helper()
	b, err := os.ReadFile(w.conf)
	must(w.t, err)
	must(w.t, os.WriteFile(w.conf, []byte(strings.ReplaceAll(string(b), refuse, refuse+" !"+allow)), 0o600))
}

// whenTemp calls f once a temporary file holds a part of what is sent.
func (w *world) whenTemp(f func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20000 {
			tmp, _ := filepath.Glob(filepath.Join(w.dst, ".*.??????"))
			if len(tmp) > 0 {
				if st, err := os.Stat(tmp[0]); err == nil && st.Size() > 0 {
					f()
					return
				}
			}
			time.Sleep(time.Millisecond)
		}
		w.t.Error("no temporary file was seen")
	})
	w.t.Cleanup(wg.Wait)
}

func TestDaemonKilledMidFile(t *testing.T) {
	w := newWorld(t)
	w.opts.Bwlimit = "2M"
	w.refuse("bwlimit")
	w.write("a", "1")
	w.write("big", strings.Repeat("x", 8<<20))
	w.whenTemp(func() { _ = w.daemon.Stop(0) })
	o := w.send(rsync.Batch{Send: paths("a", "big")})
	w.wantErr(o, rsync.Transient, "a", "big") // nobody is there to verify a
	w.startDaemon()
	w.opts.Bwlimit = ""
	w.clean(w.send(rsync.Batch{Send: paths("a", "big")}))
}

// The receiver hangs like on a dead disk while the generator keeps the
// connection alive: rsync's own timeout never ends this.
func TestStoppedReceiverIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.opts.Bwlimit = "2M"
	w.opts.Timeout, w.opts.Stall = 2*time.Second, 2*time.Second
	w.refuse("bwlimit")
	w.write("big", strings.Repeat("x", 8<<20))
	w.whenTemp(func() {
		for _, pid := range grandchildren(w.daemon.PID()) {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	})
	o := w.send(rsync.Batch{Send: paths("big")})
	w.wantErr(o, rsync.Transient, "big")
	if o.Err == nil || !strings.Contains(o.Err.Text, "no progress") {
		t.Errorf("err %v", o.Err)
	}
}

// grandchildren are the receivers: the daemon forks a generator for each
// connection, which forks a receiver.
func grandchildren(pid int) []int {
	var out []int
	for _, child := range childrenOf(pid) {
		out = append(out, childrenOf(child)...)
	}
	return out
}

func childrenOf(pid int) []int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var out []int
	for _, f := range strings.Fields(string(b)) {
		n, _ := strconv.Atoi(f)
		out = append(out, n)
	}
	return out
}

func TestCancelEndsTheRun(t *testing.T) {
	w := newWorld(t)
	w.opts.Bwlimit = "1M"
	w.refuse("bwlimit")
	w.write("big", strings.Repeat("x", 8<<20))
	ctx, cancel := context.WithCancel(context.Background())
	w.whenTemp(cancel)
	o := w.client().Send(ctx, w.root(), rsync.Batch{Send: paths("big"), Attrs: paths("big"), Deep: paths("")})
	w.wantErr(o, rsync.Transient, "", "big")
	if !errors.Is(o.Err, context.Canceled) {
		t.Errorf("err %v", o.Err)
	}
}

// fake writes a program that stands in for rsync.
func (w *world) fake(script string) {
	w.t.Helper()
	w.bin = filepath.Join(w.t.TempDir(), "rsync")
	must(w.t, os.WriteFile(w.bin, []byte("#!/bin/sh\n"+script), 0o755))
}

func TestFakeRsync(t *testing.T) {
	w := newWorld(t)
	w.write("f", "1")
	w.opts.Stall = 300 * time.Millisecond
	for _, tt := range []struct {
		name, script string
		class        rsync.Class
		text         string
	}{
		{"hangs", "exec sleep 1000", rsync.Transient, "no progress"},
		{"hangs, deaf, with a child", "trap '' TERM; sleep 1000 & while :; do wait; done", rsync.Transient, "no progress"},
		{"says nothing, exit 0", "exit 0", rsync.Partial, "passed over"},
		{"garbage", "head -c 2000000 /dev/urandom; exit 0", rsync.Partial, ""},
		{"garbage on stderr", "head -c 2000000 /dev/urandom >&2; exit 0", rsync.Partial, ""},
		{"a line without end", "head -c 5000000 /dev/zero", rsync.Partial, ""},
		{"1 GB on stderr", "yes 'rsync: oh no, what a long line of nothing at all this is' | head -c 1000000000 >&2; exit 23", rsync.Transient, "no end of messages"},
		{"1 GB on stdout", "yes 'oh no, what a long line of nothing at all this is, and how it goes on' | head -c 1000000000; exit 0", rsync.Transient, "no end of messages"},
		{"crashes", "kill -SEGV $$", rsync.Transient, ""},
		{"unknown code", "echo boom >&2; exit 99", rsync.Transient, "boom"},
		{"steers the terminal", `printf '@ERROR: \033[31m\007 auth failed on module m\n' >&2; exit 5`, rsync.Auth, "?[31m? auth failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			w.fake(tt.script)
			o := w.send(rsync.Batch{Send: paths("f")})
			w.wantErr(o, tt.class, "f")
			if o.Err != nil && (!strings.Contains(o.Err.Error(), tt.text) || len(o.Err.Error()) > 4096) {
				t.Errorf("error of %d bytes: %.300v", len(o.Err.Error()), o.Err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		w.t, w.bin = t, "/nonexistent/rsync"
		w.wantErr(w.send(rsync.Batch{Send: paths("f")}), rsync.Incompatible, "f")
	})
}

// What a child can see: no password in its arguments or its environment.
func TestChildSeesNoSecret(t *testing.T) {
	w := newWorld(t)
	w.write("f", "1")
	t.Setenv("RSYNC_PASSWORD", "top-secret")
	t.Setenv("RSYNC_PROXY", "proxy:1")
	dump := filepath.Join(t.TempDir(), "dump")
	w.fake(`{ env; echo "$0" "$@"; } > ` + dump)
	w.send(rsync.Batch{Send: paths("f")})
	b, err := os.ReadFile(dump)
	must(t, err)
	for _, bad := range []string{"top-secret", "RSYNC_P", os.Getenv("HOME") + "\n"} {
		if strings.Contains(string(b), bad) {
			t.Errorf("%q in\n%s", bad, b)
		}
	}
}

func TestExtraIsChecked(t *testing.T) {
	w := newWorld(t)
	w.write("f", "1")
	w.opts.Extra = []string{"--delete"}
	o := w.send(rsync.Batch{Send: paths("f")})
	w.wantErr(o, rsync.Usage, "f")
	if o.Stats.Runs != 0 {
		t.Error("rsync was run")
	}
}

func TestProbe(t *testing.T) {
	w := newWorld(t)
	motd := filepath.Join(t.TempDir(), "motd")
	must(t, os.WriteFile(motd, []byte("hello\n\nworld \x1b[1m\n"), 0o644))
	b, err := os.ReadFile(w.conf)
	must(t, err)
	must(t, os.WriteFile(w.conf, append([]byte("motd file = "+motd+"\n"), b...), 0o600))
	g, err := rsync.Probe(t.Context(), w.dest)
	must(t, err)
	if g.Protocol != "32.0" || !slices.Equal(g.MOTD, []string{"hello", "", "world ?[1m"}) {
		t.Errorf("%+v", g)
	}
}

func TestProbeOddPeers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		class rsync.Class // 0: no error
	}{
		{"http", func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, rsync.Incompatible},
		{"ssh", func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9\r\n") }, rsync.Incompatible},
		{"no newline", func(c net.Conn) { fmt.Fprint(c, strings.Repeat("x", 1<<20)) }, rsync.Incompatible},
		{"closes", func(net.Conn) {}, rsync.Transient},
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, rsync.Transient},
		{"endless motd", func(c net.Conn) {
			fmt.Fprint(c, "@RSYNCD: 32.0 md5\n")
			for _, err := fmt.Fprint(c, "spam\n"); err == nil; _, err = fmt.Fprint(c, "spam\n") {
				continue
			}
		}, 0},
		{"old", func(c net.Conn) { fmt.Fprint(c, "@RSYNCD: 30.0\n@ERROR: Unknown command\n") }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if c, err := l.Accept(); err == nil {
					tt.serve(c)
					c.Close()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if tt.class == 0 {
				ctx = t.Context()
			}
			g, err := rsync.Probe(ctx, rsync.Dest{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port})
			var e *rsync.Error
			switch {
			case tt.class == 0 && err != nil, tt.class != 0 && (!errors.As(err, &e) || e.Class != tt.class):
				t.Errorf("err %v", err)
			case len(g.MOTD) > 100:
				t.Errorf("%d lines", len(g.MOTD))
			}
			<-done
		})
	}
	_, err := rsync.Probe(t.Context(), rsync.Dest{Host: "127.0.0.1", Port: freePort(t)})
	var e *rsync.Error
	if !errors.As(err, &e) || e.Class != rsync.Transient || !strings.Contains(e.Hint, "receiver running") {
		t.Errorf("closed port: %v", err)
	}
}

func TestVersion(t *testing.T) {
	v, err := rsync.Version(t.Context(), "")
	must(t, err)
	if rsync.Older(v, "3.1.3") {
		t.Errorf("version %q", v)
	}
	if _, err := rsync.Version(t.Context(), "true"); err == nil {
		t.Error("true is no rsync")
	}
}
