package watch

import (
	"context"
	"fmt"
	"testing"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// BenchmarkTranslate is the cost of one event after fsnotify made it. Create asks
// the kernel whether it is a directory.
func BenchmarkTranslate(b *testing.B) {
	h := startBackend(b, Config{}, New(Config{}).pace, func(*fsnotifyBackend) {})
	h.b.out.sink = func(Event) {}
	mkdir(b, h.root+"/some/where")
	write(b, h.root+"/some/where/file", "")
	for _, op := range []fsnotify.Op{fsnotify.Write, fsnotify.Chmod, fsnotify.Remove, fsnotify.Create} {
		ev := fsnotify.Event{Name: h.root + "/some/where/file", Op: op}
		b.Run(op.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := h.b.translate(ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode is the cost of the kernel's bytes of one event.
func BenchmarkDecode(b *testing.B) {
	const oldName, newName = unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME
	for name, raw := range map[string][]byte{
		"closed":  rawEvent(unix.FAN_CLOSE_WRITE, 1, rawName(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "12345678", "file.html")),
		"renamed": rawEvent(unix.FAN_RENAME, 1, rawName(oldName, 1, "12345678", "file.tmp"), rawName(newName, 1, "12345678", "file.html")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := decodeFan(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFanotify is the cost of one event from the kernel's bytes to the sink.
func BenchmarkFanotify(b *testing.B) {
	top := resolved(b, b.TempDir())
	for _, dir := range []string{"root/some/where", "outside"} {
		mkdir(b, top+"/"+dir)
	}
	needFanotify(b, top)
	dir := rootDir{path: top + "/root"}
	if err := dir.pin(); err != nil {
		b.Fatal(err)
	}
	w := New(Config{Root: dir.path})
	back, err := newFanotify(w.cfg, w.pace, dir, &outlet{sink: func(Event) {}, meter: &w.meter}, true)
	if err != nil {
		b.Fatal(err)
	}
	defer back.close()
	var v *volume
	for _, v = range back.volumes {
	}
	run := func(name, at string, mask uint64, uncached bool) {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, at, 0)
		if err != nil {
			b.Fatal(err)
		}
		raw := rawEvent(mask, 1, rawName(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, h.Type(), string(h.Bytes()), "file"))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if uncached {
					v.cache.clear()
				}
				ev, _, err := decodeFan(raw)
				if err == nil {
					err = back.translate(v, ev)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("closed", dir.path+"/some/where", unix.FAN_CLOSE_WRITE, false)
	run("written", dir.path+"/some/where", unix.FAN_MODIFY, false)
	run("deleted", dir.path+"/some/where", unix.FAN_DELETE, false)
	run("outside", top+"/outside", unix.FAN_CLOSE_WRITE, false)
	run("uncached", dir.path+"/some/where", unix.FAN_CLOSE_WRITE, true)
	run("outside-uncached", top+"/outside", unix.FAN_CLOSE_WRITE, true)
}

// BenchmarkStart is the time until a tree of 10,000 directories is watched.
func BenchmarkStart(b *testing.B) {
	root := resolved(b, b.TempDir())
	for i := range 100 {
		for j := range 99 {
			mkdir(b, fmt.Sprintf("%s/d%d/e%d", root, i, j))
		}
	}
	for _, backend := range []Backend{Fsnotify, Fanotify} {
		b.Run(string(backend), func(b *testing.B) {
			if backend == Fanotify {
				needFanotify(b, root)
			}
			b.ReportAllocs()
			for b.Loop() {
				ctx, stop := context.WithCancel(b.Context())
				if err := New(Config{Root: root, Backend: backend}).Run(ctx, func(Event) {}, stop); err != nil {
					b.Fatal(err)
				}
				stop()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/10k-dirs")
		})
	}
}
