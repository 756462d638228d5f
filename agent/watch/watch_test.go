package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// TestRootLost: whatever happens to the root ends the run.
func TestRootLost(t *testing.T) {
	tests := []struct {
		name   string
		change func(top, root string) error
		held   bool // somebody has the root open, so the kernel says nothing
	}{
		{"deleted", func(_, root string) error { return os.Remove(root) }, false},
		{"deleted while open", func(_, root string) error { return os.Remove(root) }, true},
		{"moved", func(top, root string) error { return os.Rename(root, top+"/elsewhere") }, false},
		{"moved and back", func(top, root string) error {
			return errors.Join(os.Rename(root, top+"/elsewhere"), os.Rename(top+"/elsewhere", root))
		}, false},
		{"replaced", func(top, root string) error {
			return errors.Join(os.Rename(root, top+"/elsewhere"), os.Mkdir(root, 0o755))
		}, false},
		{"directory above moved", func(top, _ string) error { return os.Rename(top+"/above", top+"/elsewhere") }, false},
		{"directory above became a link", func(top, _ string) error {
			return errors.Join(os.Rename(top+"/above", top+"/elsewhere"), os.Symlink("elsewhere", top+"/above"))
		}, false},
	}
	eachBackend(t, func(t *testing.T, backend Backend) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) { rootLost(t, backend, tt.change, tt.held) })
		}
	})
}

func rootLost(t *testing.T, backend Backend, change func(top, root string) error, held bool) {
	top := resolved(t, t.TempDir())
	root := filepath.Join(top, "above/root")
	mkdir(t, root)
	if held {
		f, err := os.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	h := prepare(t, Config{Root: root, Backend: backend})
	// The kernel tells fanotify of each.
	h.w.pace.root, h.w.pace.fanRoot = 5*time.Millisecond, time.Hour
	h.launch(h.w.Run)
	if err := change(top, root); err != nil {
		t.Fatal(err)
	}
	if err := h.end(); !errors.Is(err, ErrRootLost) {
		t.Errorf("run returned %v, want ErrRootLost", err)
	}
}

// TestRunAgain: after the root was lost, the same watcher runs on the new one.
func TestRunAgain(t *testing.T) { eachBackend(t, testRunAgain) }

func testRunAgain(t *testing.T, backend Backend) {
	root := filepath.Join(resolved(t, t.TempDir()), "root")
	mkdir(t, filepath.Join(root, "old"))
	h := start(t, Config{Root: root, Backend: backend})
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if err := h.end(); !errors.Is(err, ErrRootLost) {
		t.Fatalf("run returned %v, want ErrRootLost", err)
	}
	mkdir(t, filepath.Join(root, "new/dir"))
	h.launch(h.w.Run)
	if n := h.w.Stats().Dirs; n != 3 && backend == Fsnotify {
		t.Errorf("%d directories watched, want 3", n)
	}
	h.reports("new/dir", "f")
}

func TestRunRefuses(t *testing.T) {
	top := resolved(t, t.TempDir())
	write(t, top+"/file", "")
	mkdir(t, top+"/dir")
	if err := os.Symlink("dir", top+"/link"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		cfg  Config
		lost bool
		want string
	}{
		{Config{Root: top + "/missing"}, true, "is it mounted"},
		{Config{Root: top + "/file"}, true, "is it mounted"},
		{Config{Root: top + "/link"}, true, "symlink"},
		{Config{Root: "dir"}, false, "not an absolute path"},
		{Config{Root: top, Backend: "kqueue"}, false, "use auto, fanotify, fsnotify or poll"},
	}
	for _, tt := range tests {
		err := New(tt.cfg).Run(t.Context(), func(Event) {}, func() { t.Errorf("%+v: ready", tt.cfg) })
		if err == nil || errors.Is(err, ErrRootLost) != tt.lost || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("run of %q, %q returned %v, want lost %v and %q", tt.cfg.Root, tt.cfg.Backend, err, tt.lost, tt.want)
		}
	}
}

// TestEndsQuickly stops runs at any moment, also while events pour in, and checks
// that nothing is reported afterwards.
func TestEndsQuickly(t *testing.T) { eachBackend(t, testEndsQuickly) }

func testEndsQuickly(t *testing.T, backend Backend) {
	root := resolved(t, t.TempDir())
	for i := range 200 {
		mkdir(t, filepath.Join(root, string(rune('a'+i%20)), string(rune('a'+i/20))))
	}
	churning, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for churning.Err() == nil {
			os.MkdirAll(root+"/x/y/z", 0o755)
			os.Rename(root+"/x", root+"/w")
			os.RemoveAll(root + "/w")
		}
	}()
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		ended := false
		err := New(Config{Root: root, Backend: backend}).Run(ctx, func(Event) {
			if ended {
				t.Error("an event after the end")
			}
		}, func() {})
		ended = true
		cancel()
		if err != nil {
			t.Errorf("run: %v", err)
		}
	}
	stop()
	<-done
}

func TestPoll(t *testing.T) {
	h := start(t, Config{Backend: Poll, PollEvery: time.Millisecond})
	for range 3 {
		eventually(t, "the root to be reported", func() bool {
			return h.saw(func(e Event) bool { return e == Event{What: tree.Deep, Cause: Polled} })
		})
		h.forget()
	}
	if s := h.w.Stats(); s.Backend != "poll" || s.Why == "" || s.Dirs != 0 || s.Events == 0 {
		t.Errorf("stats %+v", s)
	}
	if err := os.Remove(h.root); err != nil {
		t.Fatal(err)
	}
	if err := h.end(); !errors.Is(err, ErrRootLost) {
		t.Errorf("run returned %v, want ErrRootLost", err)
	}
}

// TestNoInstanceLeft: auto polls instead, fsnotify says what to do.
func TestNoInstanceLeft(t *testing.T) {
	if !inNamespace(t, unix.CLONE_NEWUSER) {
		return
	}
	write(t, "/proc/sys/user/max_inotify_instances", "0")
	root := resolved(t, t.TempDir())
	err := New(Config{Root: root, Backend: Fsnotify}).Run(t.Context(), func(Event) {}, func() {})
	if err == nil || !strings.Contains(err.Error(), "raise fs.inotify.max_user_instances") {
		t.Errorf("fsnotify: run returned %v", err)
	}
	h := start(t, Config{Root: root})
	if s := h.w.Stats(); s.Backend != "poll" || !strings.Contains(s.Why, "max_user_instances") {
		t.Errorf("auto: stats %+v", s)
	}
}

// TestOpenStepwise compares the way for old kernels with the usual one.
func TestOpenStepwise(t *testing.T) {
	top := resolved(t, t.TempDir())
	mkdir(t, top+"/a/b")
	write(t, top+"/f", "")
	for name, to := range map[string]string{"link": "a", "a/back": ".."} {
		if err := os.Symlink(to, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/", top, top + "/a/b", top + "/f", top + "/link", top + "/link/b", top + "/a/back/a", top + "/none"} {
		want, id, wantErr := openNoSymlinks(name, readDir)
		got, err := openStepwise(name, readDir)
		if (err == nil) != (wantErr == nil) || err != nil && !absent(err) {
			t.Errorf("%s: %v, want %v", name, err, wantErr)
		}
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(got, &st); err != nil || st.Ino != id.ino {
			t.Errorf("%s: inode %d, want %d (%v)", name, st.Ino, id.ino, err)
		}
		if err := errors.Join(unix.Close(want), unix.Close(got)); err != nil {
			t.Error(err)
		}
	}
}

func TestRootDirPaths(t *testing.T) {
	tests := []struct {
		root, abs string
		rel       tree.Path
	}{
		{"/", "/", ""},
		{"/", "/etc", "etc"},
		{"/", "/etc/x", "etc/x"},
		{"/r", "/r", ""},
		{"/r", "/r/x", "x"},
		{"/r/s", "/r/s/x/y", "x/y"},
	}
	for _, tt := range tests {
		r := rootDir{path: tt.root}
		if got := r.abs(tt.rel); got != tt.abs {
			t.Errorf("abs of %q in %s: %q, want %q", tt.rel, tt.root, got, tt.abs)
		}
		if got := r.rel(tt.abs); got != tt.rel {
			t.Errorf("rel of %q in %s: %q, want %q", tt.abs, tt.root, got, tt.rel)
		}
		if got := r.below(tt.abs); got != (tt.rel != "") {
			t.Errorf("%q below %s: %v", tt.abs, tt.root, got)
		}
	}
	// What fsnotify makes of an entry of a watched "/".
	if got := (rootDir{path: "/"}).rel("//etc"); got != "etc" {
		t.Errorf("rel of //etc: %q", got)
	}
	if (rootDir{path: "/r"}).below("/rx/y") {
		t.Error("/rx/y is not below /r")
	}
}

func TestQuiet(t *testing.T) {
	q := quiet{every: time.Minute}
	now := time.Unix(0, 0)
	for i, want := range []bool{true, false, false} {
		if _, ok := q.allow("a", now); ok != want {
			t.Errorf("call %d: allowed %v, want %v", i, ok, want)
		}
	}
	if _, ok := q.allow("b", now); !ok {
		t.Error("another message was held back")
	}
	if held, ok := q.allow("a", now.Add(time.Minute)); !ok || held != 2 {
		t.Errorf("after the interval: allowed %v with %d held back, want 2", ok, held)
	}
}
