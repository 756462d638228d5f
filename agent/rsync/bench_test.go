package rsync

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"syncagent/agent/proc"
	"syncagent/agent/tree"
)

// manyPaths are a thousand files in ten directories, sorted.
func manyPaths() []tree.Path {
	var paths []tree.Path
	for i := range 1000 {
		paths = append(paths, tree.Path(fmt.Sprintf("some/where%d/file%04d.html", i/100, i)))
	}
	return paths
}

// BenchmarkParseItem is the cost of one line of output.
func BenchmarkParseItem(b *testing.B) {
	for name, line := range map[string]string{
		"sent":    "<f+++++++++|some/where/file.html|4096",
		"equal":   ".f         |some/where/file.html|4096",
		"escaped": `<f.st......|some/\#303\#251t\#303\#251/file.html|4096`,
		"foreign": "rsync: [sender] change_dir failed",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parseItem(line)
			}
		})
	}
}

// BenchmarkOutput is a run's output, a thousand lines, from its bytes to the items.
func BenchmarkOutput(b *testing.B) {
	var text []byte
	for _, p := range manyPaths() {
		text = fmt.Appendf(text, "<f+++++++++|%s|4096\n", p)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		col := &collector{words: tail{max: maxText}}
		col.setSink(func(item) { n++ })
		out := col.stdout()
		for rest := text; len(rest) > 0; rest = rest[min(chattyPiece, len(rest)):] {
			_, _ = out.Write(rest[:min(chattyPiece, len(rest))])
		}
		out.flush()
		if n != 1000 {
			b.Fatalf("%d items", n)
		}
	}
}

// TestAllOutputIsRead: whatever the pieces, all lines come through, and memory grows
// only with what there is.
func TestAllOutputIsRead(t *testing.T) {
	text := strings.Repeat("a line of some length\n", 20_000)
	for name, from := range map[string]io.Reader{
		"at once": strings.NewReader(text), "in halves": iotest.HalfReader(strings.NewReader(text)), "with its end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		n := 0
		out := &lines{line: func([]byte) { n++ }, long: func() { t.Error("a long line") }, read: new(atomic.Int64)}
		total, err := out.ReadFrom(from)
		if err != nil || total != int64(len(text)) || n != 20_000 {
			t.Errorf("%s: %d bytes, %d lines, %v", name, total, n, err)
		}
	}
	broken := &lines{line: func([]byte) {}, long: func() {}, read: new(atomic.Int64)}
	if _, err := broken.ReadFrom(iotest.ErrReader(io.ErrUnexpectedEOF)); err == nil {
		t.Error("a read that failed is not told")
	}
}

// BenchmarkList is what a run reads, of one path and of a thousand.
func BenchmarkList(b *testing.B) {
	paths := manyPaths()
	for _, n := range []int{1, len(paths)} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newList(paths[:n])
			}
		})
	}
}

// BenchmarkArgs is the argument list of a push.
func BenchmarkArgs(b *testing.B) {
	c := New(Config{Dest: Dest{Host: "127.0.0.1", User: "u", Module: "m"}})
	b.ReportAllocs()
	for b.Loop() {
		c.args(mode{again: true})
	}
}

// BenchmarkTopmost is what is left of a thousand paths of which each lies below
// one of ten.
func BenchmarkTopmost(b *testing.B) {
	paths := manyPaths()
	for _, p := range paths[:10] {
		paths = append(paths, p.Parent())
	}
	b.ReportAllocs()
	for b.Loop() {
		topmost(paths)
	}
}

// TestChattyOutputIsGathered: who writes line by line wakes nobody for each, what comes
// alone or in large pieces is taken at once.
func TestChattyOutputIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			size int
			gap  time.Duration
			rest bool
		}{
			"lines":         {60, 0, true},
			"now and then":  {60, 2 * chattyGap, false},
			"large pieces":  {chattyPiece, 0, false},
			"larger pieces": {32 << 10, 0, false},
		} {
			out := &lines{line: func([]byte) {}, long: func() {}, read: new(atomic.Int64)}
			begin, slept := time.Now(), time.Duration(0)
			for range 2 * chattyWrites {
				_, _ = out.Write(make([]byte, c.size))
				time.Sleep(c.gap)
				slept += c.gap
			}
			want := slept
			if c.rest {
				want += chattyWrites * chattyGap
			}
			if took := time.Since(begin); took != want {
				t.Errorf("%s: %v instead of %v", name, took, want)
			}
		}
	})
}

// BenchmarkRun is what a run costs us when rsync does nothing: the process, its pipes
// and what comes with them.
func BenchmarkRun(b *testing.B) {
	dir, err := os.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	spawner := proc.NewSpawner("")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- spawner.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	c := New(Config{Bin: "true", Dest: Dest{Host: "127.0.0.1", User: "u", Module: "m"}, Spawner: spawner})
	list := newList([]tree.Path{"some/where/file.html"})
	b.ReportAllocs()
	for b.Loop() {
		if rep := c.exec(ctx, dir, mode{again: true}, list, func(item) {}); rep.err != nil {
			b.Fatal(rep.err)
		}
	}
}
