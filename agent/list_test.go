package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syncagent/agent/filter"
	"syncagent/agent/manifest"
	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/rsyncd/rsyncdtest"
)

// expressions leave out files by suffix, directories wherever they are, and one
// subtree of the root.
func expressions() []string { return []string{`(.*)f[0-4]\.txt`, `(.*/)?d3`, `^d1/d[24]/.*`} }

// TestExpressionsConverge: whatever happens, by event, retry, restart and sweep,
// nothing that an expression names arrives on a slave or is touched there, and
// all else is equal.
func TestExpressionsConverge(t *testing.T) {
	for _, watcher := range []string{"fsnotify", "fanotify"} {
		t.Run(watcher, func(t *testing.T) { expressionsConverge(t, watcher) })
	}
}

func expressionsConverge(t *testing.T, watcher string) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, "    delete_guard: off\n    first_sync: mirror\n    filter_regex: ['(.*)f[0-4]\\.txt', '(.*/)?d3', '^d1/d[24]/.*']\n    watcher: "+watcher+"\n")
	slave := l.slaves[0].Path("data")
	own := map[string]string{"f1.txt": "the slave's\n", "deep/er/f2.txt": "kept\n", "d3": "kept\n", "own/d3/keep": "kept\n", "gone/away/f3.txt": "kept\n"}
	for name, text := range own {
		l.must(os.MkdirAll(filepath.Dir(filepath.Join(slave, name)), 0o755))
		l.must(os.WriteFile(filepath.Join(slave, name), []byte(text), 0o644))
	}
	l.must(os.WriteFile(filepath.Join(slave, "gone/extra"), nil, 0o644))
	for _, name := range []string{"d0/f3.txt", "d0/x", "d1/d2/x", "d1/x", "deep/d3/a/b", "deep/er/f1.txt", "deep/er/y"} {
		l.write(name, "from the master\n")
	}
	l.start()
	outside := filepath.Join(l.dir, "outside")
	l.must(os.Mkdir(outside, 0o755))
	churn := rsyncdtest.NewChurn(rsyncdtest.Seed(t), l.root, outside)
	for i := range 800 {
		l.note(churn.Step())
		switch {
		case i%250 == 249:
			l.stop()
			l.start()
		case i%10 == 0: // let it happen in several batches
			time.Sleep(time.Millisecond)
		}
	}
	rsyncdtest.Eventually(t, time.Minute, func() error { return l.equalBut(slave, own) })
}

// equalBut compares what no expression names, and holds the slave to its own.
func (l *lab) equalBut(slave string, own map[string]string) error {
	for _, t := range l.status().Targets {
		if t.Pending > 0 || t.Failing > 0 || t.InSyncAsOf.IsZero() || t.State != status.Idle {
			return fmt.Errorf("%s: %s, %d pending, %d failing: %s", t.Name, t.State, t.Pending, t.Failing, t.LastError)
		}
	}
	none, _ := filter.Compile(nil)
	rules, err := none.WithRegexps(expressions())
	l.must(err)
	want, err := manifest.Read(l.root, manifest.Everything())
	l.must(err)
	got, err := manifest.Read(slave, manifest.Everything())
	l.must(err)
	excluded := func(e manifest.Entry) bool { return rules.Excludes(tree.Path(e.Path), e.Type == manifest.Dir) }
	kept := map[string]bool{}
	for _, e := range got {
		if excluded(e) {
			_, mine := own[e.Path]
			if !mine && e.Type != manifest.Dir {
				l.t.Fatalf("%q arrived on the slave", e.Path)
			}
			for p := tree.Path(e.Path).Parent(); p != tree.Root; p = p.Parent() {
				kept[string(p)] = true
			}
		}
	}
	here := map[string]bool{}
	for _, e := range want {
		here[e.Path] = true
	}
	want = slices.DeleteFunc(want, excluded)
	// A directory that stays for what it keeps, or that was changed by a name
	// that is kept out, has a time of its own.
	got = slices.DeleteFunc(got, func(e manifest.Entry) bool { return excluded(e) || kept[e.Path] && !here[e.Path] })
	for name, text := range own {
		if data, err := os.ReadFile(filepath.Join(slave, name)); err != nil || string(data) != text {
			l.t.Fatalf("the slave's own %s: %q, %v", name, data, err)
		}
	}
	if diff := manifest.Diff(want, got); len(diff) > 0 {
		return fmt.Errorf("%d differ: %v", len(diff), diff[:min(len(diff), 10)])
	}
	return nil
}
