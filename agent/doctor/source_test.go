package doctor

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"syncagent/agent/config"
	"syncagent/agent/watch"
)

func TestSource(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "full", "x"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	must(t, os.Symlink("full", filepath.Join(dir, "link")))
	for _, tt := range []struct {
		name  string
		level Level
		words []string
	}{
		{"full", OK, []string{filepath.Join(dir, "full")}},
		{"link", OK, []string{"link, which is ", "/full"}},
		{"empty", Warn, []string{"is empty", "mount its disk"}},
		{"file", Fail, []string{"not a directory", "name a directory"}},
		{"missing", Fail, []string{"no such file", "create it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{}.filled()
			m := config.Module{Name: "www", Path: filepath.Join(dir, tt.name)}
			expect(t, o.source(context.Background(), m), "source", "www", tt.level, tt.words...)
		})
	}
}

func TestRemoteSource(t *testing.T) {
	nfs := sourceView{path: "/www", kind: fileSystem{name: "nfs", remote: true}}
	below := sourceView{path: "/www", kind: fileSystem{name: "ext4"}, remote: []string{"/www/img (cifs)"}}
	dead := sourceView{path: "/www", dead: []string{"/www/img: stale file handle"}}
	for _, tt := range []struct {
		view    sourceView
		watcher string
		level   Level
		words   []string
	}{
		{nfs, "auto", Warn, []string{"/www (nfs)", "sweep.every"}},
		{below, "fsnotify", Warn, []string{"/www/img (cifs)", "watcher: poll"}},
		{dead, "auto", Fail, []string{"/www/img: stale file handle"}},
	} {
		list := judgeSource(about{"source", "www"}, config.Module{Name: "www", Path: "/www", Settings: config.Settings{Watcher: tt.watcher}}, tt.view)
		expect(t, list, "source", "www", tt.level, tt.words...)
	}
	absent(t, judgeSource(about{"source", "www"}, config.Module{Path: "/www", Settings: config.Settings{Watcher: "poll"}}, nfs), "source", Warn)
}

// TestMountBelow looks at a file system that is really mounted below a source.
func TestMountBelow(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "sub")
	must(t, os.Mkdir(at, 0o755))
	if err := unix.Mount("none", at, "ramfs", 0, ""); err != nil {
		t.Fatalf("mount a file system: %v; run the tests as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	v, err := look(dir)
	must(t, err)
	if v.empty || len(v.remote) > 0 || len(v.dead) > 0 {
		t.Errorf("got %+v", v)
	}
}

func TestWatches(t *testing.T) {
	need := func(dirs, limit, instances int) watch.Need {
		return watch.Need{Directories: dirs, Limit: limit, Instances: 128, InstancesUsed: instances}
	}
	module := func(name, watcher string) config.Module {
		return config.Module{Name: name, Path: "/" + name, Settings: config.Settings{Watcher: watcher}}
	}
	for _, tt := range []struct {
		name    string
		inotify fakeInotify
		modules []config.Module
		level   Level
		subject string
		words   []string
	}{
		{"enough", fakeInotify{"/a": need(10, 65536, 3)}, []config.Module{module("a", "auto")}, OK, "this host", []string{"10 directories", "65536 allowed"}},
		{
			"sum too large",
			fakeInotify{"/a": need(40000, 65536, 3), "/b": need(30000, 65536, 3)},
			[]config.Module{module("a", "auto"), module("b", "auto")},
			Fail, "this host",
			[]string{"70000 directories", `"fs.inotify.max_user_watches = 524288"`, "sysctl --system"},
		},
		{
			"both limits",
			fakeInotify{"/a": need(70000, 65536, 127)},
			[]config.Module{module("a", "auto")},
			Fail, "this host",
			[]string{`"fs.inotify.max_user_watches = 524288" and "fs.inotify.max_user_instances = 512"`},
		},
		{"unknown limits", fakeInotify{"/a": {Directories: 5}}, []config.Module{module("a", "auto")}, Warn, "this host", []string{"cannot be read"}},
		{"polled tree", fakeInotify{"/a": need(10, 65536, 3)}, []config.Module{module("a", "auto"), module("huge", "poll")}, OK, "this host", []string{"10 directories"}},
		{"missing tree", fakeInotify{}, []config.Module{module("a", "auto")}, Warn, "a", []string{"cannot be counted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := Options{Inotify: tt.inotify}.filled().watches(context.Background(), tt.modules)
			if len(list) != 1 {
				t.Errorf("got %+v", list)
			}
			expect(t, list, "inotify", tt.subject, tt.level, tt.words...)
		})
	}
	if list := (Options{Inotify: fakeInotify{}}).filled().watches(context.Background(), []config.Module{module("a", "poll")}); len(list) != 0 {
		t.Errorf("all polled: %+v", list)
	}
}
