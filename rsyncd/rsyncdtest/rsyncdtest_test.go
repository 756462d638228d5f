package rsyncdtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"syncagent/agent/manifest"
)

// recorder is a testing.TB that takes failures as results.
type recorder struct {
	testing.TB
	failed  string
	cleanup []func()
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanup = append(r.cleanup, f) }
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Setenv(string, string) {}
func (r *recorder) Fatal(a ...any)        { r.failed = fmt.Sprint(a...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any) {
	r.failed = fmt.Sprintf(f, a...)
	runtime.Goexit()
}

// failure returns what do fails with.
func failure(t *testing.T, do func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(r)
	}()
	<-done
	return r.failed
}

func push(t *testing.T, d *Daemon, src string, args ...string) error {
	t.Helper()
	args = append([]string{"-a", "--password-file=" + d.PasswordFile}, args...)
	out, err := exec.CommandContext(t.Context(), Rsync(t), append(args, src+"/", d.URL("data"))...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestDaemonLife(t *testing.T) {
	NoLeaks(t)
	d := Start(t, Options{})
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := push(t, d, src); err != nil {
		t.Fatal(err)
	}
	SameTree(t, src, d.Path("data"))

	pid := d.PID()
	d.Kill()
	if err := push(t, d, src); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a killed daemon answers: %v", err)
	}
	d.Restart()
	if d.PID() == pid || d.PID() == 0 {
		t.Errorf("pid %d after %d", d.PID(), pid)
	}
	if err := push(t, d, src); err != nil {
		t.Error(err)
	}

	d.Suspend()
	if err := push(t, d, src, "--contimeout=1", "--timeout=1"); err == nil {
		t.Error("a suspended daemon answers")
	}
	d.Resume()
	if err := push(t, d, src); err != nil {
		t.Error(err)
	}
	d.Restart()
	d.Suspend() // the end of the test has to cope
	if !strings.Contains(d.Log(), "rsyncd version") {
		t.Errorf("log: %s", d.Log())
	}
}

func TestTwoDaemonsAtOnce(t *testing.T) {
	NoLeaks(t)
	a, b := Start(t, Options{User: "ann", Password: "1"}), Start(t, Options{User: "bob", Password: "2"})
	for _, d := range []*Daemon{a, b} {
		if err := push(t, d, t.TempDir()); err != nil {
			t.Error(err)
		}
	}
	b.PasswordFile = a.PasswordFile
	if err := push(t, b, t.TempDir()); err == nil || !strings.Contains(err.Error(), "auth failed") {
		t.Errorf("another daemon's password is taken: %v", err)
	}
}

func TestRsyncIsNeeded(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if got := failure(t, func(t testing.TB) { Rsync(t) }); !strings.Contains(got, "need rsync") {
		t.Errorf("got %q: a missing rsync shall fail tests", got)
	}
}

func TestEqualNamesDifferences(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	if err := Equal(a, b); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if err := os.WriteFile(filepath.Join(a, fmt.Sprint("f", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := Equal(a, b)
	if err == nil || !strings.Contains(err.Error(), "differ in 25 of 25") || strings.Count(err.Error(), "missing") != 20 {
		t.Errorf("got %v", err)
	}
	if err := Equal(a, filepath.Join(b, "nothing")); err == nil {
		t.Error("a tree that is not there is equal")
	}
	if got := failure(t, func(t testing.TB) { SameTree(t, a, b) }); got == "" {
		t.Error("SameTree lets it pass")
	}
}

func TestEventually(t *testing.T) {
	n := 0
	Eventually(t, time.Minute, func() error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	got := failure(t, func(t testing.TB) {
		Eventually(t, time.Millisecond, func() error { return errors.New("never") })
	})
	if n != 3 || !strings.Contains(got, "never") {
		t.Errorf("after %d calls: %q", n, got)
	}
}

func TestLeaksAreSeen(t *testing.T) {
	token := "test-token-" + fmt.Sprint(os.Getpid())
	before, children := goroutines(), processes(token)
	if err := leaks(before, children, token); err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	go func() { <-stop }()
	if err := leaks(before, children, token); err == nil || !strings.Contains(err.Error(), "TestLeaksAreSeen") {
		t.Errorf("a goroutine is not seen: %v", err)
	}
	close(stop)
	Eventually(t, leakPatience, func() error { return leaks(before, children, token) })

	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if err := leaks(before, children, token); err == nil || !strings.Contains(err.Error(), "sleep 600") {
		t.Errorf("a child is not seen: %v", err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()

	// An orphan has another parent; it is known by what it inherited.
	starter := exec.Command("sh", "-c", "sleep 601 >/dev/null 2>&1 & echo $!")
	starter.Env = append(os.Environ(), tokenEnv+"="+token)
	out, err := starter.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := leaks(before, children, token); err == nil || !strings.Contains(err.Error(), "sleep 601") {
		t.Errorf("an orphan is not seen: %v", err)
	}
	_ = exec.Command("kill", "-9", strings.TrimSpace(string(out))).Run()
	Eventually(t, leakPatience, func() error { return leaks(before, children, token) })
}

// The same seed makes the same tree, except for times.
func TestChurnIsDeterministic(t *testing.T) {
	seed := Seed(t)
	var trees []manifest.Manifest
	var logs []string
	base := t.TempDir()
	for range 2 {
		root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
		for _, dir := range []string{root, outside} {
			if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		c := NewChurn(seed, root, outside)
		var log strings.Builder
		for range 300 {
			log.WriteString(c.Step() + "\n")
		}
		m, err := manifest.Read(root, manifest.Options{Content: true, HardLinks: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range m {
			m[i].MtimeNs = 0
		}
		trees, logs = append(trees, m), append(logs, log.String())
	}
	if logs[0] != logs[1] {
		t.Error("the edits differ")
	}
	if d := manifest.Diff(trees[0], trees[1]); len(d) > 0 {
		t.Errorf("the trees differ: %v", d)
	}
}

// Every kind of edit succeeds at times, nothing leaves root and outside, and
// the tree stays of a size and depth that can be replicated.
func TestChurnDoesEverything(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	c := NewChurn(Seed(t), root, outside)
	worked := map[string]bool{}
	for range 1500 {
		s := c.Step()
		kind := strings.Fields(s)[1]
		if !strings.HasSuffix(strings.TrimSpace(s), `"`) {
			continue // it says why not
		}
		worked[kind] = true
	}
	for _, k := range c.Kinds() {
		if !worked[k] && (k != "chown" || os.Geteuid() == 0) {
			t.Errorf("no %s worked", k)
		}
	}
	m, err := manifest.Read(root, manifest.Everything())
	if err != nil {
		t.Fatal(err)
	}
	if len(m) > 2*maxEntries {
		t.Errorf("%d entries", len(m))
	}
	for _, e := range m {
		if len(e.Path) > 3900 || filepath.Base(e.Path) == "PWNED" {
			t.Errorf("path of %d bytes: %q", len(e.Path), e.Path)
		}
	}
}

// Links lead out of the tree, and paths lead through links: nothing but root
// and outside may change for that.
func TestChurnStaysInside(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "a", "root"), filepath.Join(base, "b", "outside")
	if err := errors.Join(os.MkdirAll(root, 0o755), os.MkdirAll(outside, 0o755)); err != nil {
		t.Fatal(err)
	}
	c := NewChurn(Seed(t), root, outside)
	for range 1500 {
		c.Step()
	}
	m, err := manifest.Read(base, manifest.Options{Exclude: func(p string, _ bool) bool { return p == "a/root" || p == "b/outside" }})
	if err != nil {
		t.Fatal(err)
	}
	if len(m) != 2 {
		t.Errorf("besides a and b: %v", m)
	}
	// The ways out, one by one.
	for name, target := range map[string]string{"up": "..", "top": "/", "out": outside} {
		link := filepath.Join(root, "link-"+name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if err := c.mkdirs(filepath.Join(link, "escaped")); err == nil {
			t.Errorf("mkdirs followed %s", target)
		}
		if err := c.put(filepath.Join(link, "escaped"), os.O_CREATE, 1); err == nil {
			t.Errorf("put followed %s", target)
		}
	}
}

func TestChurnWithout(t *testing.T) {
	c := NewChurn(1, t.TempDir(), t.TempDir()).Without(t, "hardlink", "fifo")
	for range 200 {
		if k := strings.Fields(c.Step())[1]; k == "hardlink" || k == "fifo" {
			t.Fatalf("made a %s", k)
		}
	}
	if got := failure(t, func(t testing.TB) { c.Without(t, "hardlink") }); !strings.Contains(got, "hardlink") {
		t.Errorf("got %q", got)
	}
}

// A test counts on what it spares, whatever the edits do around it.
func TestChurnSpares(t *testing.T) {
	root := t.TempDir()
	c := NewChurn(Seed(t), root, t.TempDir())
	want := map[string]string{"file": "one", "dir/file": "two"}
	if err := os.Mkdir(filepath.Join(root, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.Spare("file")
	c.Spare("dir")
	for range 1500 {
		c.Step()
	}
	for name, text := range want {
		if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != text {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
}

// What churn makes, rsync with all its options can copy: a difference in a
// test is a fault of the code under test, not of the tree.
func TestChurnCanBeReplicated(t *testing.T) {
	NoLeaks(t)
	d := Start(t, Options{})
	root, outside := t.TempDir(), t.TempDir()
	c := NewChurn(Seed(t), root, outside)
	for range 8 {
		for range 60 {
			c.Step()
		}
		if err := push(t, d, root, "-I", "--modify-window=-1", "--delete", "--force"); err != nil {
			t.Fatal(err)
		}
		SameTree(t, root, d.Path("data"))
	}
}
