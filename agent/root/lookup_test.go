package root

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

func TestLookup(t *testing.T) {
	long := strings.Repeat("n", 256)
	tests := []struct {
		name  string
		tree  []string
		batch tree.Batch
		want  []string
	}{
		{"nothing", nil, nil, nil},
		{"the root", nil, tree.Batch{m("", attrs)}, []string{`"" attrs present dir 1`}},
		{
			"a deep root covers all",
			[]string{"f"},
			tree.Batch{m("", deep), m("f", content), m("g", content)},
			[]string{`"" deep present dir 3`},
		},
		{
			"each on its own",
			[]string{"f", "d/f", "l -> f", "p|"},
			tree.Batch{m("d", attrs), m("d/f", content), m("f", attrs|content), m("l", content), m("p", content)},
			[]string{`"d" attrs present dir 1`, `"d/f" content present file 1`, `"f" attrs+content present file 1`, `"l" content present link 1`, `"p" content present fifo 1`},
		},
		{
			"a symlinked ancestor",
			[]string{"a -> ../outside"},
			tree.Batch{m("a", attrs), m("a/secret", content), m("a/x/y", deep)},
			[]string{`"a" attrs+content present link 3`},
		},
		{
			"a symlinked ancestor that was not marked",
			[]string{"a -> ../outside"},
			tree.Batch{m("a/secret", attrs)},
			[]string{`"a" content present link 1`},
		},
		{
			"a symlink to a directory inside",
			[]string{"d/f", "a -> d"},
			tree.Batch{m("a/f", content), m("d/f", content)},
			[]string{`"a" content present link 1`, `"d/f" content present file 1`},
		},
		{
			"a symlink in the middle",
			[]string{"d/e/f", "d/l -> e"},
			tree.Batch{m("d/e/f", content), m("d/l/f", content), m("d/l/g", content)},
			[]string{`"d/e/f" content present file 1`, `"d/l" content present link 2`},
		},
		{
			"a file for an ancestor",
			[]string{"f"},
			tree.Batch{m("f/a", deep), m("f/b/c", content)},
			[]string{`"f" content present file 2`},
		},
		{
			"a symlink to nothing is there",
			[]string{"l -> nowhere"},
			tree.Batch{m("l", content)},
			[]string{`"l" content present link 1`},
		},
		{
			"a symlink to itself",
			[]string{"l -> l"},
			tree.Batch{m("l/x", content)},
			[]string{`"l" content present link 1`},
		},
		{"missing", nil, tree.Batch{m("f", attrs)}, []string{`"f" attrs+content missing 1`}},
		{
			"missing is lifted and counted",
			[]string{"d/"},
			tree.Batch{m("d/a", content), m("d/a/b/1", content), m("d/a/b/2", content), m("d/c", content)},
			[]string{`"d/a" content+deep missing 3`, `"d/c" content missing 1`},
		},
		{"lifted to the top", nil, tree.Batch{m("a/b/c", content)}, []string{`"a" content+deep missing 1`}},
		{"missing and deep", nil, tree.Batch{m("a", deep)}, []string{`"a" content+deep missing 1 unseen`}},
		{"missing and deep below", nil, tree.Batch{m("a", content), m("a/b", deep)}, []string{`"a" content+deep missing 2 unseen`}},
		{"deep on a file", []string{"f"}, tree.Batch{m("f", deep)}, []string{`"f" content present file 1`}},
		{"deep and attributes on a link", []string{"l -> x"}, tree.Batch{m("l", deep|attrs)}, []string{`"l" attrs+content present link 1`}},
		{
			"nothing stands below a deep directory",
			[]string{"d/e/f"},
			tree.Batch{m("d", deep), m("d/e/f", content), m("d/gone", content)},
			[]string{`"d" deep present dir 3`},
		},
		{
			"a neighbour sorts between",
			[]string{"a/f", "a.b", "a b"},
			tree.Batch{m("a", attrs), m("a/f", content), m("a b", content), m("a.b", content)},
			[]string{`"a" attrs present dir 1`, `"a/f" content present file 1`, `"a b" content present file 1`, `"a.b" content present file 1`},
		},
		{
			"a batch in disorder",
			[]string{"b/f", "a"},
			tree.Batch{m("b/f", content), m("a", attrs), m("b/f", attrs)},
			[]string{`"a" attrs present file 1`, `"b/f" attrs+content present file 1`},
		},
		{
			"a name too long is not missing", nil,
			tree.Batch{m(tree.Path(long), content), m(tree.Path(long+"/x"), content)},
			[]string{`"` + long + `" content unreadable 1`, `"` + long + `/x" content unreadable 1`},
		},
		{
			"any bytes",
			[]string{"\xff\n", " ", "-n", "$(x)"},
			tree.Batch{m(" ", content), m("$(x)", content), m("-n", content), m("\xff\n", content)},
			[]string{`" " content present file 1`, `"$(x)" content present file 1`, `"-n" content present file 1`, `"\xff\n" content present file 1`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, without bool) {
				dir, outside := scratch(t)
				grow(t, outside, "secret", "x/y")
				grow(t, dir, tt.tree...)
				r := open(t, dir)
				r.openat2 = r.openat2 && !without
				got, err := r.Lookup(tt.batch)
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(append([]string{}, tt.want...), briefs(got)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLookupStat(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "d/file")
	r := open(t, dir)
	got, err := r.Lookup(tree.Batch{m("d/file", content)})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "d/file"), &st); err != nil {
		t.Fatal(err)
	}
	want := Stat{Mode: st.Mode, Size: 6, MtimeNs: st.Mtim.Nano(), CtimeNs: st.Ctim.Nano(), Ino: st.Ino, Links: 1}
	if got[0].Stat != want {
		t.Errorf("got %+v, want %+v", got[0].Stat, want)
	}
	if one, err := r.Stat("d/file"); one != want || err != nil {
		t.Errorf("Stat: got %+v, %v, want %+v", one, err, want)
	}
}

// TestLookupBatch: what goes back into the set after a failure is what was taken
// out.
func TestLookupBatch(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "d/f", "l -> d")
	batch := tree.Batch{m("a", content), m("a/b", deep), m("a/c", attrs), m("d", attrs), m("d/f", content), m("l/1", attrs), m("l/2", deep)}
	got, err := open(t, dir).Lookup(batch)
	if err != nil {
		t.Fatal(err)
	}
	var back tree.Batch
	for _, e := range got {
		back = append(back, e.Batch...)
		if e.Marks != len(e.Batch) {
			t.Errorf("%q: %d marks, but %d in its batch", e.Path, e.Marks, len(e.Batch))
		}
	}
	if diff := gocmp.Diff(batch, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLookupChange looks at each moment of a change that happens half-way: the
// hook runs between two marks.
func TestLookupChange(t *testing.T) {
	batch := tree.Batch{m("d", attrs), m("d/1", content), m("d/2", deep), m("d/s/3", content), m("e", content)}
	tests := []struct {
		name   string
		before int // the mark
		change []string
		want   []string
	}{
		{
			"a directory gives way to a link", 3,
			[]string{"mv d old", "ln ../outside d"},
			[]string{`"d" attrs+content present link 4`, `"e" content present file 1`},
		},
		{
			"a directory gives way to a file", 3,
			[]string{"mv d old", "touch d"},
			[]string{`"d" attrs+content present file 4`, `"e" content present file 1`},
		},
		{
			"a directory goes away", 3,
			[]string{"mv d ../outside/d"},
			[]string{`"d" attrs+content+deep missing 4 unseen`, `"e" content present file 1`},
		},
		{
			"another directory takes its place", 2,
			[]string{"mv d ../outside/d", "mkdir d", "touch d/2"},
			[]string{`"d" attrs present dir 1`, `"d/1" content present file 1`, `"d/2" deep present dir 1`, `"d/s" content+deep missing 1`, `"e" content present file 1`},
		},
		{
			"what went is looked for in the new place", 2,
			[]string{"mv d old", "rm old/2", "mkdir d", "touch d/2"},
			[]string{`"d" attrs present dir 1`, `"d/1" content present file 1`, `"d/2" content present file 1`, `"d/s" content+deep missing 1`, `"e" content present file 1`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, without bool) {
				dir, outside := scratch(t)
				grow(t, outside, "1", "s/3")
				grow(t, dir, "d/1", "d/2/", "d/s/3", "e")
				r := open(t, dir)
				r.openat2 = r.openat2 && !without
				l := lookup{root: r, batch: batch}
				for i := range batch {
					if i == tt.before {
						run(t, dir, tt.change)
					}
					l.mark(i)
				}
				l.close(0)
				if diff := gocmp.Diff(tt.want, briefs(l.out)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLookupRootGone(t *testing.T) {
	for _, change := range [][]string{
		{"rm ."}, {"mv . ../moved"}, {"mv . ../moved", "mkdir ."}, {"mv . ../moved", "ln moved ."},
	} {
		t.Run(strings.Join(change, ","), func(t *testing.T) {
			dir, _ := scratch(t)
			grow(t, dir, "f")
			r := open(t, dir)
			run(t, dir, change)
			got, err := r.Lookup(tree.Batch{m("f", content)})
			if !errors.Is(err, ErrChanged) || got != nil {
				t.Errorf("got %v, %v, want ErrChanged and nothing", briefs(got), err)
			}
		})
	}
}

func TestLookupRefusesForeignPaths(t *testing.T) {
	dir, outside := scratch(t)
	grow(t, outside, "secret")
	r := open(t, dir)
	for _, p := range []tree.Path{"..", "../outside/secret", "a/../../outside", "/etc", "a//b", "a\x00b", "."} {
		if got, err := r.Lookup(tree.Batch{m(p, content)}); !errors.Is(err, tree.ErrPath) {
			t.Errorf("%q: got %v, %v", p, briefs(got), err)
		}
		if _, err := r.Stat(p); !errors.Is(err, tree.ErrPath) {
			t.Errorf("Stat(%q): %v", p, err)
		}
	}
}

// TestLookupErrors: only ENOENT means missing, and below an ancestor that fails
// nothing is tried again.
func TestLookupErrors(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EACCES, unix.EIO, unix.ESTALE, unix.ENOTCONN, unix.ELOOP, unix.EMFILE, unix.ENOMEM, unix.ENOTDIR, unix.ETIMEDOUT} {
		dir, _ := scratch(t)
		grow(t, dir, "d/f")
		l := lookup{root: open(t, dir), batch: tree.Batch{m("d/e/f", content), m("d/e/g", deep), m("d/f", attrs)}}
		l.unreadable(0, step{path: "d/e", err: errno})
		l.mark(1)
		l.mark(2)
		want := []string{`"d/e/f" content unreadable 1`, `"d/e/g" deep unreadable 1`, `"d/f" attrs present file 1`}
		if diff := gocmp.Diff(want, briefs(l.out)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", errno, diff)
		}
		if !errors.Is(l.out[1].Err, errno) {
			t.Errorf("got error %v, want %v", l.out[1].Err, errno)
		}
		l.close(0)
	}
}

// TestLookupForbidden: what may not be entered is unreadable, not missing.
func TestLookupForbidden(t *testing.T) {
	bothWays(t, func(t *testing.T, without bool) {
		dir, _ := scratch(t)
		grow(t, dir, "d/e/f", "g")
		r := open(t, dir)
		r.openat2 = r.openat2 && !without
		for d, mode := range map[string]os.FileMode{"d": 0, "../..": 0o755} {
			if err := os.Chmod(filepath.Join(dir, d), mode); err != nil {
				t.Fatal(err)
			}
		}
		defer os.Chmod(filepath.Join(dir, "d"), 0o755)
		defer asNobody()()
		got, err := r.Lookup(tree.Batch{m("d", attrs), m("d/e/f", content), m("d/e/x", deep), m("d/x", content), m("g", content)})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{`"d" attrs present dir 1`, `"d/e/f" content unreadable 1`, `"d/e/x" deep unreadable 1`, `"d/x" content unreadable 1`, `"g" content present file 1`}
		if diff := gocmp.Diff(want, briefs(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !errors.Is(got[1].Err, fs.ErrPermission) {
			t.Errorf("got error %v", got[1].Err)
		}
	})
}

// asNobody takes root's rights to files from this goroutine until undo is called.
func asNobody() (undo func()) {
	runtime.LockOSThread()
	unix.Setfsuid(65534)
	return func() {
		unix.Setfsuid(os.Geteuid())
		runtime.UnlockOSThread()
	}
}

func TestLookupDeepTree(t *testing.T) {
	bothWays(t, func(t *testing.T, without bool) {
		dir, _ := scratch(t)
		r := open(t, dir)
		r.openat2 = r.openat2 && !without
		// deeper than PATH_MAX allows in one path
		const levels = 300
		name := strings.Repeat("x", 30)
		at := r.fd
		var batch tree.Batch
		p := tree.Root
		for range levels {
			if err := unix.Mkdirat(at, name, 0o755); err != nil {
				t.Fatal(err)
			}
			next, _, err := openComponent(at, name)
			if err != nil {
				t.Fatal(err)
			}
			r.closeDir(at)
			at, p = next, p.Join(name)
			batch = append(batch, m(p, attrs))
		}
		r.closeDir(at)
		l := lookup{root: r, batch: append(batch, m(p.Join("gone"), content))}
		for i := range l.batch {
			l.mark(i)
		}
		got := l.out
		if len(got) != levels+1 || len(l.open) > maxOpen {
			t.Fatalf("got %d entries, %d directories are open", len(got), len(l.open))
		}
		l.close(0)
		for _, e := range got[:levels] {
			if e.State != Present || !e.Stat.IsDir() {
				t.Fatalf("got %s", brief(e))
			}
		}
		if got[levels].State != Missing || got[levels].Path != p.Join("gone") {
			t.Errorf("got %s", brief(got[levels]))
		}
	})
}
