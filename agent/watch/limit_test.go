package watch

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

func TestSysctl(t *testing.T) {
	tests := []struct {
		name string
		need Need
		want string
	}{
		{"enough", Need{Directories: 1000, Limit: 65536, Instances: 128, InstancesUsed: 5}, ""},
		{"small limit", Need{Directories: 10000, Limit: 8192, Instances: 128}, "fs.inotify.max_user_watches = 524288"},
		{"many", Need{Directories: 400000, Limit: 65536, Instances: 128}, "fs.inotify.max_user_watches = 1048576"},
		{"others use the rest", Need{Directories: 40000, Limit: 65536, Used: 30000, Instances: 128}, "fs.inotify.max_user_watches = 524288"},
		{"already watched", Need{Directories: 40000, Limit: 65536, Used: 40010, Own: 40000, Instances: 128}, ""},
		{"instances", Need{Directories: 1, Limit: 65536, Instances: 128, InstancesUsed: 125}, "fs.inotify.max_user_instances = 512"},
		{"unknown limits", Need{Directories: 1000}, ""},
	}
	for _, tt := range tests {
		if got := tt.need.Sysctl(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNeedPlus(t *testing.T) {
	a := Need{Directories: 10, Limit: 100, Used: 30, Own: 10, Instances: 128, InstancesUsed: 3}
	b := Need{Directories: 20, Limit: 100, Used: 30, Own: 15, Instances: 128, InstancesUsed: 3}
	want := Need{Directories: 30, Limit: 100, Used: 30, Own: 25, Instances: 128, InstancesUsed: 3}
	if got := a.Plus(b); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (Need{}).Plus(a); got != a {
		t.Errorf("nothing and %+v make %+v", a, got)
	}
}

func TestCheckLimit(t *testing.T) {
	root := resolved(t, t.TempDir())
	for _, dir := range []string{"a/b/c", "a/d", "cache/x/y"} {
		mkdir(t, root+"/"+dir)
	}
	if err := unix.Symlink("a", root+"/link"); err != nil {
		t.Fatal(err)
	}
	before, err := CheckLimit(root, nil)
	if err != nil || before.Directories != 8 || before.Own != 0 {
		t.Errorf("need %+v, %v; want 8 directories, none watched yet", before, err)
	}
	if before.Limit <= 0 || before.Instances <= 0 {
		t.Errorf("need %+v: limits were not read", before)
	}
	excludes := func(p tree.Path, dir bool) bool { return dir && p == "cache" }
	start(t, Config{Root: root, Excludes: excludes, Backend: Fsnotify})
	need, err := CheckLimit(root, excludes)
	if err != nil || need.Directories != 5 || need.Own != 6 || need.Used < 6 || need.InstancesUsed < 1 {
		t.Errorf("need %+v, %v; want 5 directories, all watched, and the marker", need, err)
	}
	if _, err := CheckLimit(root+"/none", nil); err == nil {
		t.Error("no error for a missing root")
	}
}

func TestCountWatches(t *testing.T) {
	const info = `pos:	0
flags:	04000
inotify wd:2 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e9e0000640d1b6d
inotify wd:1 ino:192627 sdev:800013 mask:800afce
`
	id := inode{dev: unix.Mkdev(8, 0x13), ino: 0x9e7e}
	if n, mine := countWatches(strings.NewReader(info), id); n != 2 || !mine {
		t.Errorf("%d watches, mine %v", n, mine)
	}
	if _, mine := countWatches(strings.NewReader(info), inode{dev: id.dev, ino: 1}); mine {
		t.Error("an instance that does not watch the root counts as ours")
	}
}
