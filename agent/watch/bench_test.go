package watch

import (
	"context"
	"fmt"
	"testing"

	"github.com/fsnotify/fsnotify"
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

// BenchmarkStart is the time until a tree of 10,000 directories is watched.
func BenchmarkStart(b *testing.B) {
	root := resolved(b, b.TempDir())
	for i := range 100 {
		for j := range 99 {
			mkdir(b, fmt.Sprintf("%s/d%d/e%d", root, i, j))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx, stop := context.WithCancel(b.Context())
		if err := New(Config{Root: root}).Run(ctx, func(Event) {}, stop); err != nil {
			b.Fatal(err)
		}
		stop()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/10k-dirs")
}
