package watch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/tree"
)

func TestIsRemote(t *testing.T) {
	for kind, want := range map[string]bool{
		"nfs4": true, "cifs": true, "fuse.sshfs": true, "fuseblk": true, "9p": true, "ext4": false, "tmpfs": false, "": false, "nfsd": false,
	} {
		if isRemote(kind) != want {
			t.Errorf("%q: %v, want %v", kind, !want, want)
		}
	}
}

func TestMountOfRoot(t *testing.T) {
	lines := mountLines([]byte(`21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /srv rw,nosuid shared:7 master:1 - nfs4 host:/srv rw
31 30 0:41 / /srv/a rw - tmpfs none rw
32 31 0:42 / /srv/a rw - xfs /dev/sdb rw
33 21 0:43 / /srvx rw`))
	for path, kind := range map[string]string{"/": "ext4", "/home/a": "ext4", "/srv": "nfs4", "/srv/ab": "nfs4", "/srv/a/b": "xfs", "/srvx/c": ""} {
		if m, ok := (rootDir{path: path}).mount(lines); !ok || m.kind != kind {
			t.Errorf("%s stands on %+v, want %q", path, m, kind)
		}
	}
	if m, ok := (rootDir{path: "/x"}).mount(nil); ok {
		t.Errorf("found %+v in no mounts", m)
	}
}

// TestSweeper: what is remote is reported at each interval, as the mounts are then.
func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nfs := mountLine{place: "/r/a/nfs", kind: "nfs4"}
		local, outside, skipped := mountLine{place: "/", kind: "ext4"}, mountLine{place: "/nfs", kind: "nfs"}, mountLine{place: "/r/x/skip", kind: "cifs"}
		mounts := []mountLine{local, outside, skipped}
		var mu sync.Mutex // of events and mounts
		var events []tree.Path
		w := New(Config{})
		out := &outlet{meter: &w.meter, sink: func(e Event) {
			if e.Cause != Polled || e.What&tree.Deep == 0 {
				t.Errorf("event %+v", e)
			}
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e.Path)
		}}
		s := newSweeper(Config{Root: "/r", PollEvery: time.Minute, Excludes: func(p tree.Path, _ bool) bool { return p == "x" }}, out)
		s.mounts = func() []mountLine {
			mu.Lock()
			defer mu.Unlock()
			return mounts
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		check := func(want ...tree.Path) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(events, want) {
				t.Errorf("reported %q, want %q", events, want)
			}
			why := w.Stats().Why
			if swept := strings.Contains(why, mounts[len(mounts)-1].kind); swept != (mounts[len(mounts)-1] != skipped) {
				t.Errorf("stats say %q", why)
			}
			events = nil
		}
		change := func(to ...mountLine) {
			mu.Lock()
			mounts = to
			mu.Unlock()
			s.mounted()
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		check()
		change(local, outside, skipped, nfs)
		time.Sleep(30 * time.Second)
		s.mounted() // another mount must not put it off
		time.Sleep(31 * time.Second)
		check("a/nfs")
		time.Sleep(2 * time.Minute)
		check("a/nfs", "a/nfs")
		change(local, outside, skipped)
		time.Sleep(time.Hour)
		check()
		change(local, nfs, mountLine{place: "/r", kind: "fuse.sshfs"})
		time.Sleep(61 * time.Second)
		check(tree.Root)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}
