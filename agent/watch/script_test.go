package watch

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// The scripts in testdata/watch say what must be marked after something was done
// to a tree. A line is a command and its arguments, separated by blanks; # begins
// a comment. Paths are relative to the watched root; those that begin with ../out
// lie outside of it. What stands before the line "watch" is done before the
// watcher starts; one that has no such line watches from the start.
//
//	mkdir DIR…         make directories, and those above them
//	touch FILE…        make empty files, or set the times of what is there to now
//	write FILE WORD    make or overwrite a file
//	append FILE WORD   write at the end of a file
//	mv FROM TO         rename(2): what stands at TO is replaced
//	exchange A B       swap two names at once
//	rm PATH…           remove with everything below, like rm -rf
//	rmdir DIR          remove an empty directory
//	ln OLD NEW         make a hard link
//	symlink TO NAME    make a symlink; TO is not interpreted
//	chmod MODE PATH    set the mode, octal
//	exclude PATH…      exclude directories; before watch only
//	watch              start watching
//	settle             wait until all was reported that happened
//	forget             settle, and forget what was reported
//	output             the lines from here on are what must be marked
//
// The output is the dirty set that the events make, in the order of its paths,
// everything below a deep mark left out, and what is missing together with the
// directory above it, which a backend may find gone before it can say its name.
// One line a mark: what it is (attrs, content
// or deep, each with those before it), its path ("." for the root) and the word
// "gone" when an event said that it left:
//
//	attrs a
//	deep d gone
//
// At the end of each script every directory that is there and not excluded must
// be watched, and no other. The scripts say the same for both backends.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../../testdata/watch/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	run := func(t *testing.T, backend Backend) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
				runScript(t, file, backend, resolved(t, t.TempDir()))
			})
		}
	}
	eachBackend(t, run)
	t.Run(string(oldFanotify), func(t *testing.T) {
		needFanotify(t, "")
		run(t, oldFanotify)
	})
}

type script struct {
	t        *testing.T
	backend  Backend
	root     string
	excluded []tree.Path
	h        *watching // nil until watch
}

func runScript(t *testing.T, file string, backend Backend, top string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &script{t: t, backend: backend, root: filepath.Join(top, "root")}
	mkdir(t, s.root)
	mkdir(t, filepath.Join(top, "out"))
	var want []string
	output := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		switch args := strings.Fields(line); {
		case len(args) == 0:
		case args[0] == "output":
			output = true
		case output:
			want = append(want, strings.Join(args, " "))
		default:
			s.do(args[0], args[1:])
		}
	}
	s.started().settle()
	if d := cmp.Diff(s.topmost(want), s.topmost(s.h.marks())); d != "" {
		t.Errorf("marks (-want +got):\n%s\nevents: %v", d, s.h.all())
	}
	s.checkDirs()
}

// started returns the watcher, started if need be.
func (s *script) started() *watching {
	if s.h == nil {
		excludes := func(p tree.Path, _ bool) bool { return slices.Contains(s.excluded, p) }
		s.h = startPaced(s.t, Config{Root: s.root, Excludes: excludes, Backend: s.backend}, New(Config{}).pace)
	}
	return s.h
}

func (s *script) do(cmd string, args []string) {
	s.t.Helper()
	switch cmd {
	case "exclude":
		for _, a := range args {
			s.excluded = append(s.excluded, tree.Path(a))
		}
		return
	case "watch":
		s.started()
		return
	case "settle":
		s.started().settle()
		return
	case "forget":
		s.started().settle()
		s.h.forget()
		return
	case "mkdir", "touch", "rm":
		for _, a := range args {
			s.change(cmd, s.abs(a))
		}
		return
	}
	if cmd != "symlink" && cmd != "chmod" {
		args[0] = s.abs(args[0])
	}
	if len(args) > 1 && cmd != "write" && cmd != "append" {
		args[1] = s.abs(args[1])
	}
	s.change(cmd, args...)
}

func (s *script) abs(p string) string { return filepath.Join(s.root, p) }

func (s *script) change(cmd string, args ...string) {
	s.t.Helper()
	var err error
	switch cmd {
	case "mkdir":
		err = os.MkdirAll(args[0], 0o755)
	case "touch":
		err = touch(args[0])
	case "write":
		err = os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "append":
		err = appendTo(args[0], args[1])
	case "mv":
		err = unix.Rename(args[0], args[1])
	case "exchange":
		err = unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE)
	case "rm":
		err = os.RemoveAll(args[0])
	case "rmdir":
		err = unix.Rmdir(args[0])
	case "ln":
		err = os.Link(args[0], args[1])
	case "symlink":
		err = os.Symlink(args[0], args[1])
	case "chmod":
		var mode os.FileMode
		if _, err = fmt.Sscanf(args[0], "%o", &mode); err == nil {
			err = os.Chmod(args[1], mode)
		}
	default:
		err = fmt.Errorf("unknown command")
	}
	if err != nil {
		s.t.Fatalf("%s %q: %v", cmd, args, err)
	}
}

func touch(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return unix.Utimes(name, nil)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// marks returns the dirty set of all events, as scripts write it.
func (h *watching) marks() []string {
	set := tree.NewSet(0)
	gone := make(map[tree.Path]bool)
	for _, e := range h.all() {
		set.Mark(e.Path, e.What)
		gone[e.Path] = gone[e.Path] || e.Gone
	}
	var lines []string
	for _, m := range set.Take() {
		name := string(m.Path)
		if m.Path == tree.Root {
			name = "."
		}
		line := strongest(m.What) + " " + name
		if gone[m.Path] {
			line += " gone"
		}
		lines = append(lines, line)
	}
	return lines
}

// strongest names the one bit that counts: the set adds those that it implies.
func strongest(w tree.What) string {
	switch {
	case w&tree.Deep != 0:
		return tree.Deep.String()
	case w&tree.Content != 0:
		return tree.Content.String()
	}
	return w.String()
}

// topmost leaves out what lies below another entry that is missing.
func (s *script) topmost(lines []string) []string {
	kept := []string{}
	for _, line := range lines {
		p := tree.Path(strings.Fields(line)[1])
		if _, err := os.Lstat(s.abs(string(p.Parent()))); err == nil || p == "." {
			kept = append(kept, line)
		}
	}
	return kept
}

// checkDirs checks what is watched, the excluded directories left out.
func (s *script) checkDirs() {
	s.t.Helper()
	excluded := func(dir string) bool {
		return slices.ContainsFunc(s.excluded, func(p tree.Path) bool { return p.Contains(s.h.rel(dir)) })
	}
	want := slices.DeleteFunc(realDirs(s.t, s.root), excluded)
	if s.backend == Fsnotify {
		s.h.checkWatched(want)
		return
	}
	s.h.forget()
	for _, dir := range realDirs(s.t, s.root) {
		write(s.t, filepath.Join(dir, "last"), "")
	}
	s.h.settle()
	for _, dir := range realDirs(s.t, s.root) {
		p := s.h.rel(filepath.Join(dir, "last"))
		if saw := s.h.saw(func(e Event) bool { return e.Path == p }); saw != slices.Contains(want, dir) {
			s.t.Errorf("event of %s: %v", p, saw)
		}
	}
}
