package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

// appendFor appends to a file every pause until a time is over, and returns how often the
// file was sent in each minute.
func (b *rig) appendFor(total, pause time.Duration) (perMinute []int) {
	b.Helper()
	text := ""
	for end := time.Now().Add(total); time.Now().Before(end); {
		minute := time.Now().Add(time.Minute)
		for time.Now().Before(minute) && time.Now().Before(end) {
			text += "x"
			b.put("log", text)
			time.Sleep(pause)
		}
		perMinute = append(perMinute, len(b.batches()))
	}
	return perMinute
}

func TestFileThatNeverRests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.start()
		counts := b.appendFor(10*time.Minute, 300*time.Millisecond)
		if counts[0] < 30 || counts[0] > 45 || slices.Max(counts[1:3]) > 3 || slices.Max(counts[4:]) > 1 {
			t.Errorf("sent %v times in the minutes", counts)
		}
		s := b.snapshot("", false)
		if s.Pending != 1 || s.OldestPending < 10 || b.isClean() {
			t.Errorf("while the file rests: %+v", s)
		}
		b.save()
		if rec := b.journal(); !slices.ContainsFunc(rec.Pending, func(m tree.Mark) bool { return m.Path == "log" }) {
			t.Errorf("journal holds %v", rec.Pending)
		}
		time.Sleep(time.Minute)
		b.equal()
		time.Sleep(2 * time.Minute)
		b.batches()
		b.put("log", "1") // it was left alone, and is as any other
		time.Sleep(time.Second)
		b.equal()
		if n := len(b.batches()); n != 1 || !b.isClean() {
			t.Errorf("%d runs", n)
		}
	})
}

// What rests does not keep other changes, its own removal, or a user that asks.
func TestWhatRestsDelaysNothing(t *testing.T) {
	for name, do := range map[string]func(*rig){
		"another file": func(b *rig) { b.put("f", "1"); time.Sleep(time.Second); b.slaveIs(true, "f") },
		"removed":      func(b *rig) { b.rm("log"); time.Sleep(time.Second); b.equal() },
		"asked for":    func(b *rig) { b.Recover(); time.Sleep(time.Second); b.equal() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(10)
				b.start()
				b.appendFor(time.Minute, 300*time.Millisecond)
				b.put("log", "at last")
				time.Sleep(time.Second)
				if under(b.Replica, func() int { return b.hot.held }) != 1 {
					t.Fatal("nothing rests")
				}
				do(b)
				b.settledEqual()
			})
		})
	}
}

// Bursts, saves by an editor and deployments arrive at once, each time.
func TestOrdinaryChangesAreNotHot(t *testing.T) {
	for name, tt := range map[string]struct {
		times int
		pause time.Duration
		save  func(b *rig, text string)
	}{
		"a burst":             {90, 100 * time.Millisecond, func(b *rig, text string) { b.put("f", text) }},
		"saved now and then":  {60, 11 * time.Second, func(b *rig, text string) { b.put("f", text) }},
		"saved by a rename":   {60, 2 * time.Second, (*rig).saveByRename},
		"touched, no content": {60, 2 * time.Second, func(b *rig, _ string) { b.Mark("f", tree.Attrs, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(10)
				b.both("f", "0")
				b.start()
				for i := range tt.times {
					tt.save(b, strings.Repeat("x", i+1))
					time.Sleep(tt.pause)
					b.equal()
				}
			})
		})
	}
}

// saveByRename keeps the old inode, so that no new file gets its number.
func (b *rig) saveByRename(text string) {
	b.Helper()
	b.write("tmp", text)
	b.must(os.Link(filepath.Join(b.dir, "f"), filepath.Join(b.TempDir(), "old")))
	b.must(os.Rename(filepath.Join(b.dir, "tmp"), filepath.Join(b.dir, "f")))
	b.Mark("f", tree.Content, false)
}

func TestHotFilesAreBounded(t *testing.T) {
	h := newHot(10 * time.Second)
	now := time.Now()
	for i := range 2 * hotTracked {
		e := looked(tree.Path("d").Join(strings.Repeat("x", i%100)+string(rune('a'+i%26))+time.Duration(i).String()), int64(i))
		h.sent(e, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(h.files) > hotTracked {
		t.Errorf("%d files", len(h.files))
	}
	h.sent(looked("late", 1), now.Add(time.Hour))
	if h.files["late"] == nil {
		t.Error("what is cold is never forgotten")
	}
}

// looked is a file as a look finds it.
func looked(p tree.Path, size int64) root.Entry {
	return root.Entry{Path: p, What: tree.Content, Stat: root.Stat{Mode: 0o100644, Size: size, Ino: 1}, Marks: 1}
}
