package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/rsyncd/rsyncdtest"
)

// TestAlarm: each of these may put another directory at a module's path, and only they
// wake anybody.
func TestAlarm(t *testing.T) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		path   string
		change func(dir string) error
		rings  bool
	}{
		"removed":           {"a/b/m", func(d string) error { return os.Remove(d + "/a/b/m") }, true},
		"moved away":        {"a/b/m", func(d string) error { return os.Rename(d+"/a/b/m", d+"/m") }, true},
		"replaced":          {"a/b/m", func(d string) error { return unix.Rename(d+"/other", d+"/a/b/m") }, true},
		"moved above":       {"a/b/m", func(d string) error { return os.Rename(d+"/a", d+"/z") }, true},
		"made":              {"a/b/new", func(d string) error { return os.Mkdir(d+"/a/b/new", 0o755) }, true},
		"made above":        {"new/m", func(d string) error { return os.Mkdir(d+"/new", 0o755) }, true},
		"a link elsewhere":  {"link/b/m", func(d string) error { return os.Remove(d + "/link") }, true},
		"moved behind link": {"link/b/m", func(d string) error { return os.Rename(d+"/a", d+"/z") }, true},
		"content":           {"a/b/m", func(d string) error { return os.WriteFile(d+"/a/b/m/f", nil, 0o644) }, false},
		"beside it":         {"a/b/m", func(d string) error { return os.WriteFile(d+"/a/b/f", nil, 0o644) }, false},
		"above it":          {"a/b/m", func(d string) error { return os.WriteFile(d+"/f", nil, 0o644) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.MkdirAll(dir+"/a/b/m", 0o755))
			must(t, os.Mkdir(dir+"/other", 0o755))
			must(t, os.Symlink("a", dir+"/link"))
			a, err := newAlarm([]string{filepath.Join(dir, c.path)})
			must(t, err)
			defer a.close()
			must(t, c.change(dir))
			if got := a.named(); got != c.rings {
				t.Errorf("it rings: %v", got)
			}
		})
	}
}

// TestAlarmWakes: who waits is woken, whether it happened before or while they wait.
func TestAlarmWakes(t *testing.T) {
	for name, early := range map[string]bool{"before": true, "while": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, err := newAlarm([]string{filepath.Join(dir, "m")})
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			change := func() {
				if err := os.Mkdir(filepath.Join(dir, "m"), 0o755); err != nil {
					t.Error(err)
				}
			}
			woken := make(chan struct{})
			if early {
				change()
			}
			go func() {
				defer close(woken)
				a.wait(t.Context(), time.Hour)
			}()
			if !early {
				change()
			}
			select {
			case <-woken:
			case <-time.After(time.Minute):
				t.Error("not woken")
				a.close()
				<-woken
			}
		})
	}
}

// TestMountWakes: a file system that comes or goes is told of, too.
func TestMountWakes(t *testing.T) {
	dir := t.TempDir()
	a, err := newAlarm(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		rsyncdtest.Lacks(t, "mount", os.NewSyscallError("mount", err))
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a.wait(ctx, time.Hour)
	if ctx.Err() != nil {
		t.Error("not woken")
	}
}

// TestOnChangeLooksAgain: what is seen at a look is what counts, not what woke it.
func TestOnChangeLooksAgain(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	looks := 0
	path := filepath.Join(dir, "m")
	err := onChange(ctx, time.Millisecond, time.Hour, func() []string { return []string{path} }, func() error {
		if looks++; looks == 1 {
			return os.Mkdir(path, 0o755)
		}
		cancel()
		return nil
	})
	if err != nil || looks != 2 {
		t.Errorf("%d looks, %v", looks, err)
	}
}
