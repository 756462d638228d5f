package filter

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

// realTree is a tree on disk to run a real rsync on.
type realTree struct {
	root, empty string
	isDir       map[tree.Path]bool
}

// newRealTree makes the entries, those that end in a slash as directories, with
// the directories above them. What cannot be made beside the rest is left out.
func newRealTree(entries []string) (*realTree, error) {
	base := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "filter-test-")
	if err != nil {
		return nil, err
	}
	b := &realTree{root: filepath.Join(dir, "root"), empty: filepath.Join(dir, "empty"), isDir: map[tree.Path]bool{}}
	if err := errors.Join(os.Mkdir(b.root, 0o700), os.Mkdir(b.empty, 0o700)); err != nil {
		return nil, errors.Join(err, b.remove())
	}
	for i, entry := range entries {
		b.make(entry, i%5 == 0)
	}
	return b, b.scan()
}

func (b *realTree) make(entry string, link bool) {
	name, dir := strings.CutSuffix(entry, "/")
	if p, err := tree.ParsePath(name); err != nil || p == tree.Root {
		return
	}
	full := filepath.Join(b.root, name)
	parent := filepath.Dir(full)
	if dir {
		parent = full
	}
	if os.MkdirAll(parent, 0o700) != nil || dir {
		return
	}
	if link {
		_ = os.Symlink(b.root, full) // to rsync, a symlink to a directory is none
		return
	}
	if f, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_ = f.Close()
	}
}

// scan reads what really is there.
func (b *realTree) scan() error {
	return filepath.WalkDir(b.root, func(full string, d fs.DirEntry, err error) error {
		if err != nil || full == b.root {
			return err
		}
		b.isDir[tree.Path(full[len(b.root)+1:])] = d.IsDir()
		return nil
	})
}

func (b *realTree) remove() error { return os.RemoveAll(filepath.Dir(b.root)) }

// rsync runs a dry run with the rules and returns its lines, unescaped.
func (b *realTree) rsync(rules []string, args ...string) ([]string, error) {
	cmd := exec.Command("rsync", append(append([]string{"-rln"}, rules...), args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.New(err.Error() + ": " + stderr.String())
	}
	var names []string
	for line := range strings.Lines(stdout.String()) {
		names = append(names, unescape(strings.TrimSuffix(line, "\n")))
	}
	return names, nil
}

var escaped = regexp.MustCompile(`\\#[0-7]{3}`)

func unescape(s string) string {
	return escaped.ReplaceAllStringFunc(s, func(octal string) string {
		b, _ := strconv.ParseUint(octal[2:], 8, 8)
		return string([]byte{byte(b)})
	})
}

// listed returns what rsync would copy.
func (b *realTree) listed(rules []string) ([]string, error) {
	lines, err := b.rsync(rules, "--out-format=%n", b.root+"/", b.empty+"/")
	lines = slices.DeleteFunc(lines, func(s string) bool { return s == "./" })
	slices.Sort(lines)
	return lines, err
}

// deleted returns what rsync would delete of the tree if the master had nothing.
func (b *realTree) deleted(rules []string) ([]string, error) {
	lines, err := b.rsync(rules, "--delete", "--out-format=%o %n", b.empty+"/", b.root+"/")
	var names []string
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "del. "); ok {
			names = append(names, name)
		}
	}
	return names, err
}

// included returns what the rules include, directories with a slash.
func (b *realTree) included(r *Rules) []string {
	var names []string
	for p, dir := range b.isDir {
		switch {
		case r.Excludes(p, dir):
		case dir:
			names = append(names, string(p)+"/")
		default:
			names = append(names, string(p))
		}
	}
	slices.Sort(names)
	return names
}

// agree compares one rule set with rsync. Rules that Compile refuses must be
// refused by rsync too, or match nothing there.
func (b *realTree) agree(lines []string) error {
	r, err := Compile(lines)
	if err != nil {
		return b.agreeRefused(err)
	}
	got, err := b.listed(r.Args())
	if err != nil {
		return err
	}
	if diff := cmp.Diff(got, b.included(r)); diff != "" {
		return errors.New("rules " + strconv.Quote(strings.Join(lines, "|")) + " (-rsync +ours):\n" + diff)
	}
	return nil
}

// agreeRefused checks the first refused rule.
func (b *realTree) agreeRefused(err error) error {
	var fault *SyntaxError
	if !errors.As(err, &fault) || strings.ContainsAny(fault.Rule, "\n\x00") || strings.Contains(fault.Problem, "not supported") {
		return nil
	}
	got, err := b.listed([]string{"--filter=" + fault.Rule})
	if err == nil && len(got) != len(b.isDir) {
		return errors.New(strconv.Quote(fault.Rule) + " is refused, but rsync excludes by it")
	}
	return nil
}

// names are few, so that rules and paths meet, and hold every byte that means
// something in a pattern.
var names = []string{"a", "b", "ab", "ba", "a.b", "aa", "*", "a*", "?", "[", "]", "[a]", `\`, `a\b`, `\*`, "-", "!", "^", " ", "a b", "1", "A", "\xff", "\n", "\t", "#a", `\#012`, "..a", "{a,b}", "$(a)"}

// pieces make patterns.
var pieces = append([]string{"*", "*", "**", "***", "?", "/", "/", "/", "[", "]", "[a", "[!a]", "[^b]", "[a-c]", "[]a]", "[a-]", "[[:alpha:]]", "[[:punct:]-a]", "[[:space:][:cntrl:]]", "[\\]a]", "[b-\\d]", "[/a]", "[[:x", `\`, `\\`, `\/`}, names...)

func genEntry() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		entry := strings.Join(rapid.SliceOfN(rapid.SampledFrom(names), 1, 4).Draw(t, "path"), "/")
		if rapid.Bool().Draw(t, "dir") {
			entry += "/"
		}
		return entry
	})
}

func genRule() *rapid.Generator[string] {
	piece := rapid.SampledFrom(pieces)
	prefix := rapid.SampledFrom([]string{"- ", "- ", "- ", "+ ", "exclude ", "-_"})
	head := rapid.SampledFrom([]string{"", "", "/", "**/", "a/"})
	foot := rapid.SampledFrom([]string{"", "", "", "/", "/***", "/**", "/*", "***"})
	return rapid.Custom(func(t *rapid.T) string {
		body := strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "pieces"), "")
		return strings.ReplaceAll(prefix.Draw(t, "prefix")+head.Draw(t, "head")+body+foot.Draw(t, "foot"), "\n", "?")
	})
}

// TestAgreesWithRsync compares random rules on random trees with a real rsync;
// on failure rapid prints the seed to repeat it with. Most of the time rsync's
// processes wait for each other, so the tests that run it do so side by side.
func TestAgreesWithRsync(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, err := newRealTree(rapid.SliceOfN(genEntry(), 20, 60).Draw(t, "tree"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.remove() }()
		if err := b.agree(rapid.SliceOfN(genRule(), 1, 4).Draw(t, "rules")); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEachPieceAgreesWithRsync runs single rules on one tree with every name, so
// that no rule hides behind another.
func TestEachPieceAgreesWithRsync(t *testing.T) {
	t.Parallel()
	var entries []string
	for _, top := range names {
		entries = append(entries, top, "d/"+top+"/a/b", "d/"+top+"/"+top+"/", top+"x/"+top)
	}
	b, err := newRealTree(entries)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.remove() }()
	formats := []string{"PPP", "/PPP", "d/PPP/", "PPP/*", "**PPP"}
	for i, piece := range pieces {
		rule := strings.ReplaceAll("- "+formats[i%len(formats)], "PPP", strings.ReplaceAll(piece, "\n", "?"))
		if err := b.agree([]string{rule}); err != nil {
			t.Error(err)
		}
	}
}

// TestExcludedIsNotDeletedByRsync checks the receiving side: given the same
// arguments, a sweep spares exactly what is excluded.
func TestExcludedIsNotDeletedByRsync(t *testing.T) {
	t.Parallel()
	b, err := newRealTree([]string{"a", "app/cache/x", "app/x", "b.tmp", "d/e/f", "d/e/b.tmp", "keep/k.php", "keep/other", "z/"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.remove() }()
	r := compiled(t, "- *.tmp", "- /app/cache/", "+ *.php", "- /keep/*")
	got, err := b.deleted(r.Args())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		t.Fatal("rsync deletes nothing, the test is blind")
	}
	for p, dir := range b.isDir {
		listed := slices.Contains(got, string(p)) || slices.Contains(got, string(p)+"/")
		if excluded := r.Excludes(p, dir); listed && excluded || !dir && !listed && !excluded {
			t.Errorf("%q: excluded %v, deleted by rsync %v", p, excluded, listed)
		}
	}
}

// FuzzAgainstRsync takes rules and entries, one a line.
func FuzzAgainstRsync(f *testing.F) {
	f.Add("- *.tmp\n+ a/**/b\n- /x/***", "a.tmp\na/c/b\nx/y/z/\nx")
	f.Add("- [[:upper:]-a]*\n- \\**", "A\n-\na\n*x\n\\")
	f.Add("- a/\n- **b*/c***", "a/\nb/a\nxb/c/d\nc")
	f.Fuzz(func(t *testing.T, rules, entries string) {
		if strings.Contains(rules, "\x00") || len(rules) > 500 || len(entries) > 500 {
			return
		}
		b, err := newRealTree(strings.Split(entries, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.remove() }()
		if err := b.agree(strings.Split(rules, "\n")); err != nil {
			t.Fatal(err)
		}
	})
}
