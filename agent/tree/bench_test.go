package tree

import (
	"fmt"
	"testing"
)

// shapes are the ways marks spread over a tree; the functions map a running
// number to a path.
var shapes = []struct {
	name string
	path func(i int) Path
}{
	{"files", func(i int) Path { return Path(fmt.Sprintf("www/site%d/assets/img/file%d.jpg", i/1000, i)) }},
	{"dirs", func(i int) Path { return Path(fmt.Sprintf("www/site%d/user%d/index.html", i/1000, i)) }},
}

// benchmark runs one operation over n marks, for each number of marks, shape
// and cap.
func benchmark(b *testing.B, run func(b *testing.B, paths []Path, limit int)) {
	for _, n := range []int{10_000, 1_000_000} {
		for _, shape := range shapes {
			paths := make([]Path, n)
			for i := range paths {
				paths[i] = shape.path(i)
			}
			for _, limit := range []int{DefaultCap, 2_000_000} {
				b.Run(fmt.Sprintf("marks=%d/shape=%s/cap=%d", n, shape.name, limit), func(b *testing.B) {
					b.ReportAllocs()
					run(b, paths, limit)
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/mark")
				})
			}
		}
	}
}

func fill(paths []Path, limit int) *Set {
	s := NewSet(limit)
	for _, p := range paths {
		s.Mark(p, Content)
	}
	return s
}

func BenchmarkMark(b *testing.B) {
	benchmark(b, func(b *testing.B, paths []Path, limit int) {
		for b.Loop() {
			fill(paths, limit)
		}
	})
}

// BenchmarkMarkAgain marks what is marked already: the usual case of a file
// that is being written.
func BenchmarkMarkAgain(b *testing.B) {
	benchmark(b, func(b *testing.B, paths []Path, limit int) {
		s := fill(paths, limit)
		for b.Loop() {
			for _, p := range paths {
				s.Mark(p, Content)
			}
		}
	})
}

func BenchmarkTake(b *testing.B) {
	benchmark(b, func(b *testing.B, paths []Path, limit int) {
		for b.Loop() {
			b.StopTimer()
			s := fill(paths, limit)
			b.StartTimer()
			s.Take()
		}
	})
}

func BenchmarkRestore(b *testing.B) {
	benchmark(b, func(b *testing.B, paths []Path, limit int) {
		batch := fill(paths, limit).Take()
		for b.Loop() {
			NewSet(limit).Restore(batch)
		}
	})
}
