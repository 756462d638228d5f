package agent

import (
	"fmt"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func (b *rig) approveAll() {
	b.Helper()
	h, ok := b.Held()
	if !ok || !b.Approve(h.Digest) {
		b.Error("nothing to approve")
	}
}

func TestApprovedDeletesDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.both("other", "x")
		b.swept(202)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.approveAll()
		time.Sleep(time.Second)
		b.remove("other")
		b.Mark("other", tree.Content, true)
		time.Sleep(time.Second)
		b.equal()
	})
}

func TestApprovalOutlivesAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.swept(201)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.refuse("d", rsync.Partial)
		b.approveAll()
		time.Sleep(time.Second)
		b.accept()
		time.Sleep(10 * time.Minute)
		b.equal()
	})
}

func TestApprovalEndsWithItsHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.swept(201)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.breakDown(rsync.Transient)
		b.approveAll()
		time.Sleep(approvalLasts + time.Minute)
		b.accept()
		time.Sleep(10 * time.Minute)
		if got := b.left(tree.Root); got != 201 {
			t.Errorf("%d of 201 entries are left", got)
		}
		if got := b.held(); got != 201 {
			t.Errorf("%d are held", got)
		}
	})
}

// What was approved is what was shown, not what later stands at its path.
func TestApprovalDoesNotGrow(t *testing.T) {
	for name, back := range map[string]func(*rig){
		"more on the slave": func(b *rig) {
			for i := range 300 {
				b.slaveHas(fmt.Sprintf("d/more%d", i), "x")
			}
		},
		"again on the master": func(b *rig) {
			b.write("d/new", "x")
			b.Mark("d", tree.Content|tree.Deep, false)
			b.accept()
			time.Sleep(time.Hour / 2)
			b.goes("d")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.fill("d", 200)
				b.swept(201)
				b.start()
				b.goes("d")
				time.Sleep(time.Minute)
				b.breakDown(rsync.Transient)
				b.approveAll()
				time.Sleep(time.Second)
				back(b)
				b.accept()
				time.Sleep(20 * time.Minute)
				if got := b.left(tree.Root); got < 200 {
					t.Errorf("%d entries are left", got)
				}
			})
		})
	}
}

func TestHeldIsReleasedWhenItIsBack(t *testing.T) {
	for name, mark := range map[string]tree.Mark{
		"itself":      {Path: "a/d", What: tree.Content | tree.Deep},
		"its parent":  {Path: "a", What: tree.Content | tree.Deep},
		"its content": {Path: "a/d/f001", What: tree.Content},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.write("a/keep", "x")
				b.fill("a/d", 200)
				b.swept(202)
				b.start()
				b.goes("a/d")
				time.Sleep(time.Minute)
				for i := range 200 {
					b.write(fmt.Sprintf("a/d/f%03d", i), "y")
				}
				b.Mark(mark.Path, mark.What, false)
				time.Sleep(time.Minute)
				if got := b.held(); got != 0 {
					t.Errorf("%d are held although they stand on the master", got)
				}
			})
		})
	}
}

func TestHeldStaysHeld(t *testing.T) {
	for name, then := range map[string]func(*rig){
		"its parent is sent":                 func(b *rig) { b.Mark("a", tree.Attrs, false) },
		"its parent is looked at as a whole": func(b *rig) { b.Mark("a", tree.Content|tree.Deep, false) },
		"it is marked again":                 func(b *rig) { b.Mark("a/d/f001", tree.Content, true) },
		"a sweep sees it":                    func(b *rig) { b.RequestSweep(false) },
		"another delete is approved": func(b *rig) {
			b.slaveHas("other", "x")
			b.Mark("other", tree.Content, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.both("a/keep", "x")
				b.fill("a/d", 200)
				b.swept(203)
				b.start()
				b.goes("a/d")
				time.Sleep(time.Minute)
				then(b)
				time.Sleep(time.Hour)
				if got := b.held(); got != 201 {
					t.Errorf("%d are held", got)
				}
				b.slaveIs(true, "a/d/f001")
				if b.isClean() {
					t.Error("clean although deletes are held")
				}
			})
		})
	}
}

// A sweep that looked before a delete was held does not know of it.
func TestOlderSweepDoesNotEndAHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.both("keep", "x")
		b.fill("d", 200)
		b.swept(202)
		b.change(func(s *fakeSlave) { s.telling = time.Minute })
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Second)
		b.goes("d")
		time.Sleep(time.Hour)
		if got := b.held(); got != 201 || b.isClean() {
			t.Errorf("%d are held, clean %v", got, b.isClean())
		}
	})
}

// A directory that is back on the master may hold more on the slave.
func TestWhatIsHeldBelowADirectoryThatIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
		b.slaveHas("a/theirs", "x")
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Minute)
		b.write("a/b/new", "x")
		b.Mark("a/b", tree.Content|tree.Deep, false)
		time.Sleep(time.Minute)
		b.slaveIs(true, "a/theirs", "a/b/new")
		if got := b.held(); got != 1 || b.isClean() {
			t.Errorf("%d are held, clean %v", got, b.isClean())
		}
	})
}

// What is held must not go along with a directory above it.
func TestHeldDoesNotGoWithItsParent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("a/b", 200)
		b.both("a/c", "x")
		b.swept(203)
		b.start()
		b.goes("a/b")
		time.Sleep(time.Minute)
		if got := b.held(); got != 201 {
			t.Fatalf("%d are held", got)
		}
		b.goes("a")
		time.Sleep(10 * time.Minute)
		if got := b.left("a/b"); got != 201 {
			t.Errorf("%d of 201 held entries are left", got)
		}
		if got := b.held(); got != 203 {
			t.Errorf("%d are held", got)
		}
		b.approveAll()
		time.Sleep(time.Minute)
		b.equal()
	})
}

// Nothing is held of what went with a directory above it.
func TestHeldEndsWithWhatTakesItAlong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("a/b", 60)
		b.swept(62)
		b.start()
		b.goes("a/b")
		time.Sleep(time.Minute)
		b.swept(10_000) // by now it is a small part
		b.goes("a")
		time.Sleep(time.Minute)
		b.equal()
		if b.held() != 0 || !b.isClean() {
			t.Errorf("%d are held, clean %v", b.held(), b.isClean())
		}
	})
}

// A removal that is held goes on being one.
func TestRestOfAHeldRemovalIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.fill("e", 40)
		b.swept(242)
		b.start()
		b.goes("d")
		time.Sleep(time.Second)
		b.goes("e")
		time.Sleep(time.Minute)
		if got := b.held(); got != 242 {
			t.Errorf("%d are held", got)
		}
		b.approveAll()
		time.Sleep(time.Second)
		b.equal()
	})
}

// What a target had before its first sync goes with nothing that takes its place or goes
// above it, however little it is.
func TestOwnOfASlaveGoesWithNothingElse(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"a file where it has a directory": func(*rig) {},
		"that file written again":         func(b *rig) { b.write("d", "2"); b.Mark("d", tree.Content, false) },
		"found by a sweep":                func(b *rig) { b.RequestSweep(false) },
		"its directory removed":           func(b *rig) { b.goes("e") },
		"a file in its directory's place": func(b *rig) { b.goes("e"); b.write("e", "x"); b.Mark("e", tree.Content, false) },
		"after a restart": func(b *rig) {
			b.stop()
			b.renew()
			b.start()
			b.RequestSweep(false)
			b.goes("e")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
				b.slaveHas("d/theirs", "x")
				b.slaveHas("e/theirs", "x")
				b.write("d", "1")
				b.both("e/ours", "x")
				b.start()
				b.RequestSweep(false)
				time.Sleep(time.Minute)
				change(b)
				time.Sleep(10 * time.Minute)
				b.slaveIs(true, "d/theirs", "e/theirs")
				if b.held() < 2 || b.isClean() {
					t.Errorf("%d are held, clean %v", b.held(), b.isClean())
				}
				b.approveAll()
				time.Sleep(10 * time.Minute)
				b.equal()
			})
		})
	}
}
