package journal

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

func m(p tree.Path, w tree.What) tree.Mark { return tree.Mark{Path: p, What: w} }

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func sample() Target {
	return Target{
		Remote:        "192.168.1.168:873/www/sub",
		Pending:       tree.Batch{m("a", tree.Deep), m("b\n\xff/c", tree.Attrs|tree.Content)},
		Held:          tree.Batch{m("old", tree.Content)},
		FirstSyncDone: true,
		LastSuccess:   time.Date(2026, 11, 22, 10, 0, 0, 5, time.UTC),
		InSync:        time.Date(2026, 11, 22, 10, 1, 0, 6, time.UTC), Oldest: time.Unix(7, 8).UTC(),
		Failing: []Failing{{"x\x80", "partial", "permission denied \xfe", time.Unix(1, 2).UTC(), 3, true}},
		MOTD:    "hello\n", Instance: "i1",
	}
}

// state returns the names of what is in the directory and what it holds, without the
// lock.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if e.Name() == "lock" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func TestFormat(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.SaveTarget("www", "s1", sample()); err != nil {
		t.Fatal(err)
	}
	got := state(t, s.dir)["www@s1.target"]
	head, marks, _ := strings.Cut(got, "}\n")
	wantHead := "syncagent journal 1 target\n" + `{"module":"www","target":"s1","pending":2,"held":1,"remote":"192.168.1.168:873/www/sub","first_sync_done":true,` +
		`"last_success":"2026-11-22T10:00:00.000000005Z","in_sync":"2026-11-22T10:01:00.000000006Z","oldest":"1970-01-01T00:00:07.000000008Z","failing":[{"path":{"b64":"eIA="},"class":"partial","text":{"b64":"cGVybWlzc2lvbiBkZW5pZWQg/g=="},"since":"1970-01-01T00:00:01.000000002Z","tries":3,"told":true}],"motd":"hello\n","instance":"i1"`
	if head != wantHead {
		t.Errorf("head:\n%s\nwant:\n%s", head, wantHead)
	}
	marks, sum, _ := strings.Cut(marks, "sha256 ")
	if want := "4a\x003b\n\xff/c\x002old\x00"; marks != want {
		t.Errorf("marks: %q, want %q", marks, want)
	}
	if len(sum) != 65 {
		t.Errorf("sum: %q", sum)
	}
}

func drawText(t *rapid.T) string {
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte("a<\"\\{\n\x00\xff\x80\xc3\xa4 ")), 0, 6).Draw(t, "text"))
}

func drawPath(t *rapid.T) tree.Path {
	part := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n\"\xff\x01 ")), 1, 3)
	p := tree.Root
	for range rapid.IntRange(0, 3).Draw(t, "depth") {
		p = p.Join(string(part.Draw(t, "part")))
	}
	return p
}

func drawBatch(t *rapid.T) tree.Batch {
	var b tree.Batch
	for range rapid.IntRange(0, 8).Draw(t, "marks") {
		b = append(b, m(drawPath(t), tree.What(rapid.IntRange(1, 7).Draw(t, "what"))))
	}
	slices.SortFunc(b, func(x, y tree.Mark) int { return tree.Compare(x.Path, y.Path) })
	return slices.CompactFunc(b, func(x, y tree.Mark) bool { return x.Path == y.Path })
}

func drawTime(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "never") {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1e9, 1e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
}

func drawTarget(t *rapid.T) Target {
	rec := Target{
		Remote: drawText(t), Pending: drawBatch(t), Held: drawBatch(t),
		FirstSyncDone: rapid.Bool().Draw(t, "first"), LastSuccess: drawTime(t), InSync: drawTime(t), Oldest: drawTime(t),
		MOTD: drawText(t), Instance: drawText(t), Open: rapid.Bool().Draw(t, "open"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "failing") {
		rec.Failing = append(rec.Failing, Failing{drawPath(t), drawText(t), drawText(t), drawTime(t), rapid.Int().Draw(t, "tries"), rapid.Bool().Draw(t, "told")})
	}
	return rec
}

func TestRoundTrip(t *testing.T) {
	s := open(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		module, target := "m"+drawText(rt), "t"+drawText(rt)
		want := drawTarget(rt)
		if err := s.SaveTarget(module, target, want); err != nil {
			rt.Fatal(err)
		}
		got, err := s.LoadTarget(module, target)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			rt.Fatalf("target: %v (-want +got):\n%s", err, diff)
		}
		mod := Module{Identity: json.RawMessage(`{"path":"/www"}`), Entries: rapid.Int64().Draw(rt, "entries"), Path: drawText(rt)}
		for range rapid.IntRange(0, 3).Draw(rt, "rules") {
			mod.Filter = append(mod.Filter, drawText(rt))
		}
		if err := s.SaveModule(module, mod); err != nil {
			rt.Fatal(err)
		}
		back, err := s.LoadModule(module)
		if diff := cmp.Diff(mod, back); diff != "" || err != nil {
			rt.Fatalf("module: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestLoadNone(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.LoadTarget("www", "s1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("target: %v", err)
	}
	if _, err := s.LoadModule("www"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("module: %v", err)
	}
	if err := s.RemoveTarget("www", "s1"); err != nil {
		t.Errorf("remove target: %v", err)
	}
}

func TestLocalTimesBecomeUTC(t *testing.T) {
	s := open(t, t.TempDir())
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	if err := s.SaveTarget("www", "s1", Target{LastSuccess: at}); err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadTarget("www", "s1")
	if err != nil || !got.LastSuccess.Equal(at) || got.LastSuccess.Location() != time.UTC {
		t.Errorf("got %v, %v, want %v", got.LastSuccess, err, at)
	}
}

func TestSaveRefuses(t *testing.T) {
	many := make(tree.Batch, MaxMarks+1)
	tests := map[string]Target{
		"too many pending": {Pending: many},
		"too many held":    {Held: many},
		"too many failing": {Failing: make([]Failing, MaxMarks+1)},
		"out of order":     {Pending: tree.Batch{m("b", 1), m("a", 1)}},
		"twice":            {Pending: tree.Batch{m("a", 1), m("a", 2)}},
		"no meaning":       {Held: tree.Batch{m("a", 0)}},
		"unknown meaning":  {Held: tree.Batch{m("a", 16)}},
		"no path":          {Held: tree.Batch{m("../a", 1)}},
		"NUL":              {Pending: tree.Batch{m("a\x00b", 1)}},
		"failing no path":  {Failing: []Failing{{Path: "/a"}}},
		"year":             {LastSuccess: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	s := open(t, t.TempDir())
	if err := s.SaveTarget("www", "s1", sample()); err != nil {
		t.Fatal(err)
	}
	for name, rec := range tests {
		if err := s.SaveTarget("www", "s1", rec); err == nil {
			t.Errorf("%s: saved", name)
		}
	}
	if err := s.SaveModule("www", Module{Identity: json.RawMessage("{")}); err == nil {
		t.Error("a torn identity was saved")
	}
	got, err := s.LoadTarget("www", "s1")
	if diff := cmp.Diff(sample(), got); diff != "" || err != nil {
		t.Errorf("the old record: %v (-want +got):\n%s", err, diff)
	}
}

// TestNamesAreKeptApart: whatever a name holds, its record is its own and lies flat in
// the directory.
func TestNamesAreKeptApart(t *testing.T) {
	s := open(t, t.TempDir())
	targets := [][2]string{{"www", "s1"}, {"www", "web2.example.com"}, {"..", "../x"}, {"a@b%", "\xff"}, {"a", "b%@"}, {"bbs", "s1"}}
	for i, n := range targets {
		if err := s.SaveTarget(n[0], n[1], Target{LastSuccess: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveModule(n[0], Module{Path: n[0]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RemoveTarget("bbs", "s1"); err != nil {
		t.Fatal(err)
	}
	for i, n := range targets {
		got, err := s.LoadTarget(n[0], n[1])
		if gone := n[0] == "bbs"; gone != errors.Is(err, fs.ErrNotExist) || !gone && got.LastSuccess.Unix() != int64(i) {
			t.Errorf("%q: %v, %v", n, got.LastSuccess, err)
		}
		if m, err := s.LoadModule(n[0]); m.Path != n[0] || err != nil {
			t.Errorf("module %q: %q, %v", n[0], m.Path, err)
		}
	}
	if files, err := os.ReadDir(s.dir); len(files) != 1+5+5 || err != nil { // the lock, targets, modules
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestNoName(t *testing.T) {
	s := open(t, t.TempDir())
	_, loadErr := s.LoadTarget("", "s1")
	_, moduleErr := s.LoadModule("")
	for _, err := range []error{s.SaveTarget("www", "", Target{}), s.SaveModule("", Module{}), s.RemoveTarget("", ""), loadErr, moduleErr} {
		if !errors.Is(err, errNoName) {
			t.Errorf("got %v", err)
		}
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir())
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	_, loadErr := s.LoadTarget("www", "s1")
	for _, err := range []error{s.SaveTarget("www", "s1", Target{}), s.SaveModule("www", Module{}), s.RemoveTarget("www", "s1"), loadErr} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	s := open(t, dir)
	if err := s.SaveTarget("www", "s1", sample()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, dir + "/www@s1.target": 0o600, dir + "/lock": 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// TestTogether: readers beside writers of the same record only ever see a whole one.
func TestTogether(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.SaveTarget("www", "s1", sample()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				if err := s.SaveTarget("www", "s1", sample()); err != nil {
					t.Error(err)
				}
				if got, err := s.LoadTarget("www", "s1"); err != nil || len(got.Pending) != 2 {
					t.Error(got, err)
				}
			}
		})
	}
	all.Wait()
	if files := state(t, s.dir); len(files) != 1 {
		t.Errorf("left over: %d files", len(files))
	}
}
