package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
)

func TestPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, tt := range []struct {
		mode     os.FileMode
		uid, gid int
		level    Level
		words    []string
	}{
		{0o600, 0, 0, OK, []string{"mode 0600, owner uid 0"}},
		{0o644, 0, 0, OK, nil},
		{0o664, 0, 0, OK, nil},
		{0o664, 0, 1234, Warn, []string{"group 1234", "chmod g-w " + file}},
		{0o666, 0, 0, Fail, []string{"every user", "chmod o-w " + file}},
		{0o602, 4711, 0, Fail, []string{"every user"}},
		{0o600, 4711, 0, Warn, []string{"uid 4711", "chown root " + file}},
	} {
		must(t, os.Chown(file, tt.uid, tt.gid))
		must(t, os.Chmod(file, tt.mode))
		f := private(about{"conf", file}, file, "it")
		if f.Level != tt.level {
			t.Errorf("%04o %d:%d: got %+v, want %s", tt.mode, tt.uid, tt.gid, f, tt.level)
		}
		contains(t, f, tt.words...)
	}
	if f := private(about{"conf", "x"}, file+"x", "it"); f.Level != Fail {
		t.Errorf("a missing file: %+v", f)
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "open"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "open"), 0o777))
	for _, tt := range []struct {
		name  string
		level Level
		words []string
	}{
		{"", OK, nil},
		{"missing", Warn, []string{"agent init master"}},
		{"file", Fail, []string{"not a directory", "name a directory"}},
		{"open", Fail, []string{"every user"}},
	} {
		at := filepath.Join(dir, tt.name)
		list := Options{System: healthy()}.filled().state(context.Background(), at, "master")
		expect(t, list, "state", at, tt.level, tt.words...)
	}
}

func TestRemedyOf(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOENT:     "mount what belongs there",
		syscall.ENOTDIR:    "name a directory",
		syscall.EROFS:      "remount",
		syscall.EACCES:     "let the agent's user into /d",
		syscall.EIO:        "server or disk",
		syscall.Errno(116): "server or disk", // ESTALE
	} {
		if got := remedyOf("/d", &os.PathError{Op: "open", Path: "/d", Err: err}); !strings.Contains(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestDisk(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name  string
		space Space
		err   error
		level Level
		words []string
	}{
		{"half", Space{Total: 100 * gib, Free: 50 * gib, Type: 0xEF53}, nil, OK, []string{"50.0 GiB free of 100.0 GiB (ext4)"}},
		{"just enough", Space{Total: 100 * gib, Free: 10 * gib}, nil, OK, nil},
		{"low", Space{Total: 100 * gib, Free: 10*gib - 1}, nil, Warn, []string{"before it is full"}},
		{"one percent", Space{Total: 100 * gib, Free: gib}, nil, Warn, nil},
		{"full", Space{Total: 100 * gib, Free: gib - 1}, nil, Fail, []string{"about to fail"}},
		{"few inodes", Space{Total: 100 * gib, Free: 50 * gib, Inodes: 1000, InodesFree: 99}, nil, Warn, []string{"99 of 1000 inodes"}},
		{"no inodes", Space{Total: 100 * gib, Free: 50 * gib, Inodes: 1000}, nil, Fail, []string{"0 of 1000 inodes"}},
		{"countless inodes", Space{Total: 100 * gib, Free: 50 * gib, Type: 0x9123683E}, nil, OK, []string{"btrfs"}},
		{"does not count", Space{}, nil, OK, nil},
		{"dead", Space{}, errors.New("stale file handle"), Fail, []string{"stale file handle"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{System: &fakeSystem{space: tt.space, spaceErr: tt.err}}.filled()
			expect(t, []Finding{o.disk(context.Background(), "/d")}, "disk", "/d", tt.level, tt.words...)
		})
	}
}

func TestSpaceOfThisHost(t *testing.T) {
	s, err := localSystem{}.Space(t.TempDir())
	must(t, err)
	if s.Total == 0 || s.Free > s.Total || s.Type == 0 {
		t.Errorf("got %+v", s)
	}
	if _, err := (localSystem{}).Space("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 40: "5.0 TiB", 1 << 60: "1024.0 PiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestKindOf(t *testing.T) {
	for magic, want := range map[int64]fileSystem{
		0x6969: {name: "nfs", remote: true}, 0x65735546: {name: "fuse", remote: true},
		0xFF534D42: {name: "cifs", remote: true}, -11317950: {name: "cifs", remote: true}, // sign-extended on 32 bits
		0x4d44: {name: "vfat", poor: true}, 0x58465342: {name: "xfs"}, 0x1234: {name: "file system 0x1234"},
	} {
		if got := kindOf(magic); got != want {
			t.Errorf("0x%x: got %+v", magic, got)
		}
	}
}

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		ask := func() (int, error) { <-hang; return 1, nil }
		if _, err := within(context.Background(), time.Minute, ask); !errors.Is(err, errPatience) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := within(ctx, 0, ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(hang)
		if n, err := within(context.Background(), time.Minute, ask); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

func TestConfig(t *testing.T) {
	_, faults := config.DecodeMaster("agent.yaml", []byte("state_dirr: /x\nworkers: many\n"))
	list := Config("agent.yaml", faults)
	if len(list) != 2 {
		t.Fatalf("got %+v", list)
	}
	contains(t, list[0], "agent.yaml:1: state_dirr", "state_dir")
	contains(t, list[1], "agent.yaml:2: workers")

	set := config.NewMaster().Set("workers", "many")
	list = Config("agent.yaml", fmt.Errorf("SYNCAGENT_WORKERS: %w", set))
	expect(t, list, "config", "agent.yaml", Fail, "SYNCAGENT_WORKERS: workers")
	expect(t, Config("f", os.ErrPermission), "config", "f", Fail, "permission denied", "--config")

	file := filepath.Join(t.TempDir(), "agent.yaml")
	must(t, os.WriteFile(file, nil, 0o644))
	expect(t, Config(file, nil), "config", file, OK, "mode 0644")
	if !Failed(list) || Failed(Config(file, nil)) {
		t.Error("Failed does not tell")
	}
}
