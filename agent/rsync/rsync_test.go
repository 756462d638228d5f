package rsync_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/proc"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// eventually polls: nothing here waits a fixed time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never happened", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spawner runs a proc.Spawner for the test and checks that nothing is left.
func spawner(t *testing.T) *proc.Spawner {
	t.Helper()
	before := runtime.NumGoroutine()
	s := proc.NewSpawner("")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
		if kids := children(); len(kids) > 0 {
			t.Errorf("children left: %v", kids)
		}
	})
	return s
}

// children lists this process's children.
func children() []string {
	var kids []string
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	for _, f := range stats {
		b, _ := os.ReadFile(f)
		kids = append(kids, strings.Fields(string(b))...)
	}
	return kids
}

// world is a source tree, a slave tree and a daemon that serves it.
type world struct {
	t        *testing.T
	sp       *proc.Spawner
	src, dst string
	conf     string
	port     int
	daemon   *proc.Child
	opts     rsync.Options
	dest     rsync.Dest
	bin      string
	as       *syscall.Credential // who the client is
}

// refuse is the smallest closed list that lets every run of ours pass.
const refuse = "* !a !R !I !c !delete !delete-during !delete-missing-args !force !timeout !modify-window !max-delete"

func newWorld(t *testing.T, module ...string) *world {
	t.Helper()
	return newWorldOn(t, t.TempDir(), module...)
}

func newWorldOn(t *testing.T, dst string, module ...string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, sp: spawner(t), src: filepath.Join(dir, "src"), dst: dst, conf: filepath.Join(dir, "rsyncd.conf")}
	must(t, os.Mkdir(w.src, 0o755))
	w.port = freePort(t)
	conf := fmt.Sprintf("port = %d\naddress = 127.0.0.1\nuse chroot = yes\nmunge symlinks = no\nreverse lookup = no\n"+
		"socket options = TCP_NODELAY\nlog file = %s\nuid = 0\ngid = 0\nlist = no\nread only = no\nwrite only = yes\n"+
		"refuse options = %s\n[m]\npath = %s\n", w.port, filepath.Join(dir, "log"), refuse, dst) + strings.Join(module, "\n") + "\n"
	must(t, os.WriteFile(w.conf, []byte(conf), 0o600))
	w.startDaemon()
	t.Cleanup(func() { _ = w.daemon.Stop(0) })
	w.dest = rsync.Dest{Host: "127.0.0.1", Port: w.port, Module: "m"}
	w.opts = rsync.Options{Timeout: 20 * time.Second, ConnectTimeout: 5 * time.Second, Stall: 20 * time.Second}
	return w
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (w *world) startDaemon() {
	w.t.Helper()
	var err error
	w.daemon, err = w.sp.Start(exec.Command("rsync", "--daemon", "--no-detach", "--config="+w.conf))
	must(w.t, err)
	eventually(w.t, "daemon answers", func() bool {
		_, err := rsync.Probe(context.Background(), rsync.Dest{Host: "127.0.0.1", Port: w.port})
		return err == nil
	})
}

func (w *world) client() *rsync.Client {
	var sp rsync.Spawner = w.sp
	if w.as != nil {
		sp = asUser{w.sp, w.as}
	}
	return rsync.New(rsync.Config{Bin: w.bin, Source: w.src, Dest: w.dest, Options: w.opts, Spawner: sp})
}

func (w *world) root() *os.File {
	f, err := os.Open(w.src)
	must(w.t, err)
	w.t.Cleanup(func() { f.Close() })
	return f
}

func (w *world) send(b rsync.Batch) rsync.Outcome {
	w.t.Helper()
	return w.client().Send(context.Background(), w.root(), b)
}

// write makes a file below src, with parents.
func (w *world) write(name, content string) {
	w.t.Helper()
	writeFile(w.t, filepath.Join(w.src, name), content)
}

func (w *world) slave(name, content string) {
	w.t.Helper()
	writeFile(w.t, filepath.Join(w.dst, name), content)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(content), 0o644))
}

func (w *world) remove(name string) {
	w.t.Helper()
	must(w.t, os.RemoveAll(filepath.Join(w.src, name)))
}

func (w *world) clean(o rsync.Outcome) {
	w.t.Helper()
	if o.Err != nil || len(o.Failed) > 0 {
		w.t.Fatalf("not clean: %v, failed %v", o.Err, o.Failed)
	}
}

// same compares the two trees in all that is replicated.
func (w *world) same() {
	w.t.Helper()
	if diff := difference(manifest(w.t, w.src), manifest(w.t, w.dst)); diff != "" {
		w.t.Fatalf("trees differ:\n%s", diff)
	}
}

func difference(want, got map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			fmt.Fprintf(&b, "%q\n  want %s\n  got  %s\n", name, want[name], got[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			fmt.Fprintf(&b, "%q\n  extra\n", name)
		}
	}
	return b.String()
}

func manifest(t *testing.T, root string) map[string]string {
	t.Helper()
	m := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%o %d:%d %d.%09d rdev %d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev)
		switch e.Type() {
		case 0:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		m[strings.TrimPrefix(path, root+"/")] = line
		return nil
	}))
	return m
}

func paths(names ...string) []tree.Path {
	var p []tree.Path
	for _, n := range names {
		p = append(p, tree.Path(n))
	}
	return p
}

func failedPaths(o rsync.Outcome) []string {
	var p []string
	for _, f := range o.Failed {
		p = append(p, string(f.Path))
	}
	slices.Sort(p)
	return p
}
