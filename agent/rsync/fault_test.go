package rsync_test

import (
	"context"
	"errors"
	"fmt"
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
	if len(o.Failed) == 1 && (o.Failed[0].Class != rsync.Transient || !o.Failed[0].Newer) {
		t.Errorf("%+v", o.Failed[0])
	}
	if s, err := os.Stat(filepath.Join(w.dst, "a")); err != nil || s.Size() != 4<<20 {
		t.Errorf("it is not there: %v", err)
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
	w.slave("big", "old")
	w.whenTemp(func() { _ = w.daemon.Stop(0) })
	o := w.send(rsync.Batch{Send: paths("a", "big")})
	w.wantErr(o, rsync.Transient, "a", "big") // nobody is there to verify a
	if text, err := os.ReadFile(filepath.Join(w.dst, "big")); err != nil || string(text) != "old" {
		t.Errorf("of the old file there is %.20q: %v", text, err)
	}
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
