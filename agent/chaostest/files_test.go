package chaostest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"syncagent/rsyncd/rsyncdtest"
)

func fileCases() []faultCase {
	return []faultCase{
		{
			name: "unreadable_files", quiet: true,
			says:  "the agent, not root, meets a file and a directory that it may not read, then may",
			setup: func(w *world) { w.ownAgent() },
			fault: func(w *world) {
				w.files("closed", 3)
				w.file("secret", 10)
				w.edit(func() {
					w.giveAway()
					w.must(errors.Join(os.Chmod(w.at("closed"), 0), os.Chmod(w.at("secret"), 0)))
				})
				w.shows(time.Minute, "s1", "failing paths", func(t target) bool { return t.Failing >= 1 && t.Behind() })
				w.edit(func() {
					w.write(w.at("open"), "x")
					w.giveAway()
				})
				w.there(0, "open")
			},
			heal: func(w *world) {
				w.edit(func() { w.must(errors.Join(os.Chmod(w.at("closed"), 0o755), os.Chmod(w.at("secret"), 0o644))) })
			},
		},
		{
			name: "changed_while_sent", quiet: true,
			says: "files of 20 MB vanish, grow and shrink while they are sent at 40 Mbit/s",
			fault: func(w *world) {
				w.slaves[0].shape("rate 40mbit burst 256kbit latency 400ms")
				for range rounds(5, 1) {
					w.changeWhileSent()
				}
			},
			heal: func(w *world) { w.slaves[0].unshape() },
		},
		{
			name: "never_rests", quiet: true,
			says: "a file is written without a pause for half a minute; others arrive meanwhile",
			fault: func(w *world) {
				stop := w.writing("restless")
				defer stop()
				for range rounds(10, 2) {
					w.arrives(20*time.Second, 0)
					pause(3 * time.Second)
				}
			},
		},
		{
			name: "torn_writes", quiet: true,
			says: "random places of a file of 100 MB are overwritten for 20 s while it is sent; the slave's copy is whole all the time",
			fault: func(w *world) {
				w.big(100 << 20)
				w.there(0, "big.bin")
				w.tear(time.Duration(rounds(20, 2)) * time.Second)
			},
			bound: 2 * time.Minute,
		},
		{
			name:  "types_swapped",
			says:  "a name is a file, a directory, a link and a fifo in turn, 100 times, with things below it",
			fault: func(w *world) { w.swapTypes(rounds(100, 10)) },
		},
		{
			name: "rename_loops", short: true,
			says: "nested directories are renamed in circles, into each other and out of the tree, 300 times",
			fault: func(w *world) {
				w.files("a/b/c", 30)
				w.files("x/y/z", 30)
				w.renameLoops(rounds(300, 60))
			},
		},
		{
			name: "tree_of_10000_renamed", quiet: true,
			says: "a directory of 10,000 files is renamed to and fro, out of the tree and in again",
			fault: func(w *world) {
				w.files("large", rounds(10_000, 500))
				w.edit(func() {
					w.rename("large", "other")
					w.rename("other", "large")
				})
				pause(500 * time.Millisecond)
				w.edit(func() { w.must(os.Rename(w.at("large"), filepath.Join(w.outside, "large"))) })
				pause(500 * time.Millisecond)
				w.edit(func() { w.must(os.Rename(filepath.Join(w.outside, "large"), w.at("again"))) })
			},
			bound: 3 * time.Minute,
		},
		{
			name: "removed_beside_new", quiet: true,
			says: "20,000 files in 200 directories are removed while others are made",
			fault: func(w *world) {
				for i := range rounds(200, 20) {
					w.files(fmt.Sprintf("old/%d", i), 100)
				}
				w.converge(3 * time.Minute)
				stop := w.churning(5 * time.Millisecond)
				defer stop()
				w.edit(func() { // a random edit may get in its way
					for os.RemoveAll(w.at("old")) != nil {
					}
				})
			},
			bound: 3 * time.Minute,
		},
		{
			name: "backlog", quiet: true,
			says: "10,000 files change while the slave is away",
			fault: func(w *world) {
				w.slaves[0].cut()
				w.files("backlog", rounds(10_000, 300))
				w.lacks("s1")
				pause(5 * time.Second)
				w.has("s1")
			},
			heal:  func(w *world) { w.slaves[0].mend() },
			bound: 3 * time.Minute,
		},
		{
			name: "names_of_all_bytes", short: true, quiet: true,
			says: "names with every byte but NUL and slash, and those that hurt shells and lists, come, change and go",
			fault: func(w *world) {
				for _, name := range allNames() {
					w.file(name, 10)
				}
				w.converge(settleTime)
				for _, name := range allNames() {
					w.file(name, 20)
				}
				w.converge(settleTime)
				w.edit(func() { w.must(os.RemoveAll(w.at("bytes"))) })
			},
			heal: func(w *world) { w.noPWNED() },
		},
		{
			name: "paths_too_long", quiet: true,
			says: "a path of 4,300 bytes fails alone and is named; it is removed",
			fault: func(w *world) {
				w.deepFile(3990)
				w.deepFile(4300)
				w.shows(time.Minute, "s1", "a failing path", func(t target) bool { return t.Failing > 0 && t.Class == "usage" })
				w.arrives(time.Minute, 0)
			},
			heal: func(w *world) { w.edit(func() { w.must(os.RemoveAll(w.at(fmt.Sprintf("long%d", 4300)))) }) },
		},
		{
			name: "same_second", quiet: true,
			says: "500 rewrites of equal size, with pauses of up to 50 ms, half of them with the old time set back",
			fault: func(w *world) {
				w.file("same", 64)
				for range rounds(500, 50) {
					w.rewriteSameSize("same")
					w.letPass(50 * time.Millisecond)
				}
			},
		},
		{
			name: "odd_times", quiet: true,
			says: "files of 1901, 1970, 2106 and an hour ahead are written and rewritten",
			fault: func(w *world) {
				for i, at := range []time.Time{time.Unix(-1<<31, 0), time.Unix(0, 1), time.Unix(1<<32+5, 0), time.Now().Add(time.Hour)} {
					name := fmt.Sprintf("time%d", i)
					for n := range 3 {
						w.file(name, 10+n)
						w.edit(func() { w.must(os.Chtimes(w.at(name), at, at)) })
						pause(100 * time.Millisecond)
					}
				}
			},
		},
		{
			name: "queue_overflows", quiet: true, settings: "watcher: fsnotify\n",
			says: "the agent is stopped while 40,000 events fill the kernel's queue, then goes on",
			fault: func(w *world) {
				w.files("flood", 1)
				w.converge(settleTime) // its directory is watched now
				w.agent.signal(syscall.SIGSTOP)
				w.files("flood", rounds(20_000, 8_500))
				w.agent.signal(syscall.SIGCONT)
				w.eventually(settleTime, func() error {
					if m, err := w.status(); err != nil || m.Overflows == 0 {
						return fmt.Errorf("no overflow: %w", err)
					}
					return nil
				})
			},
			bound: 3 * time.Minute,
		},
	}
}

// at is a path in the master's tree.
func (w *world) at(name string) string { return filepath.Join(w.source, name) }

// rename moves within the master's tree, in an edit.
func (w *world) rename(from, to string) { w.must(os.Rename(w.at(from), w.at(to))) }

// there waits until a slave has a name.
func (w *world) there(i int, name string) {
	w.Helper()
	w.eventually(time.Minute, func() error {
		_, err := os.Lstat(filepath.Join(w.slaves[i].tree, name))
		return err
	})
}

// ownAgent has the agent run as nobody, who owns the tree.
func (w *world) ownAgent() {
	w.Helper()
	w.cred = &syscall.Credential{Uid: nobody, Gid: nogroup}
	w.must(errors.Join(os.MkdirAll(w.state(), 0o700), os.Chown(w.state(), nobody, nogroup), os.Chown(w.pass(), nobody, nogroup),
		os.Chmod(w.dir, 0o777), os.Chown(w.source, nobody, nogroup)))
}

// giveAway makes everything in the tree nobody's.
func (w *world) giveAway() {
	w.must(filepath.WalkDir(w.source, func(p string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(p, nobody, nogroup))
	}))
}

func (w *world) changeWhileSent() {
	w.Helper()
	for _, name := range []string{"vanishes", "grows", "shrinks"} {
		w.file(name, 20<<20)
	}
	w.eventually(time.Minute, func() error {
		parts, err := filepath.Glob(filepath.Join(w.slaves[0].tree, ".*.??????"))
		if len(parts) == 0 {
			return errors.Join(err, errNothing)
		}
		return nil
	})
	w.edit(func() {
		w.must(errors.Join(os.Remove(w.at("vanishes")), os.Truncate(w.at("shrinks"), 1<<20)))
		w.must(w.append("grows", 5<<20))
	})
}

func (w *world) append(name string, n int) error {
	f, err := os.OpenFile(w.at(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Repeat([]byte{byte(w.rand.Uint32())}, n))
	return errors.Join(err, f.Close())
}

// writing writes into an open file without a pause until stop is called.
func (w *world) writing(name string) (stop func()) {
	w.Helper()
	f, err := os.Create(w.at(name))
	w.must(err)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := int64(0); ; i++ {
			select {
			case <-end:
				_ = f.Close()
				return
			default:
				w.edit(func() { _, _ = f.WriteAt(fmt.Appendf(nil, "%020d", i), i%1000*20) })
			}
		}
	}()
	return sync.OnceFunc(func() { close(end); <-ended })
}

// tear overwrites random places of the large file. The slave's name for it
// must be there and of full size whenever it is looked at.
func (w *world) tear(d time.Duration) {
	w.Helper()
	f, err := os.OpenFile(w.at("big.bin"), os.O_WRONLY, 0)
	w.must(err)
	defer f.Close()
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.edit(func() {
			_, err := f.WriteAt([]byte("torn"), w.rand.Int64N(100<<20-4))
			w.must(err)
		})
		if n := size(filepath.Join(w.slaves[0].tree, "big.bin")); n != 100<<20 {
			w.Fatalf("the slave's file has %d bytes", n)
		}
		w.letPass(20 * time.Millisecond)
	}
}

func (w *world) swapTypes(n int) {
	w.Helper()
	p := w.at("swapped")
	for i := range n {
		w.editAlone(func() {
			w.must(os.RemoveAll(p))
			switch i % 4 {
			case 0:
				w.must(os.WriteFile(p, []byte("file"), 0o644))
			case 1:
				w.must(errors.Join(os.MkdirAll(filepath.Join(p, "sub"), 0o755), os.WriteFile(filepath.Join(p, "sub/f"), []byte("below"), 0o644)))
			case 2:
				w.must(os.Symlink(w.outside, p))
			case 3:
				w.must(syscall.Mkfifo(p, 0o644))
			}
		})
		w.letPass(60 * time.Millisecond)
	}
}

// renameLoops moves directories around each other. What does not go, as when
// one is inside the other, does not matter.
func (w *world) renameLoops(n int) {
	w.Helper()
	out := filepath.Join(w.outside, "out")
	names := []string{w.at("a"), w.at("a/b"), w.at("a/b/c"), w.at("x"), w.at("x/y"), w.at("x/y/z"), w.at("a/x"), w.at("x/a"), w.at("tmp"), out}
	for range n {
		w.edit(func() {
			_ = os.Rename(names[w.rand.IntN(len(names))], names[w.rand.IntN(len(names))])
		})
		w.letPass(10 * time.Millisecond)
	}
}

// allNames holds each byte alone, at the begin and at the end of a name, and
// the names that have hurt before.
func allNames() []string {
	var names []string
	for b := 1; b < 256; b++ {
		if c := string([]byte{byte(b)}); c != "/" && c != "." {
			names = append(names, "bytes/one/"+c, "bytes/first/"+c+"x", "bytes/last/x"+c)
		}
	}
	for _, name := range rsyncdtest.HostileNames() {
		names = append(names, "bytes/hostile/"+name)
	}
	return names
}

func (w *world) noPWNED() {
	w.Helper()
	for _, dir := range []string{".", w.dir, w.source, w.slaves[0].tree, w.slaves[0].dir, "/"} {
		if _, err := os.Lstat(filepath.Join(dir, "PWNED")); err == nil {
			w.Errorf("a name was run as a command in %s", dir)
		}
	}
}

// deepFile makes a file whose path has n bytes, below a directory named after
// it.
func (w *world) deepFile(n int) {
	w.Helper()
	w.edit(func() {
		dir, err := os.OpenRoot(w.source)
		w.must(err)
		defer func() { dir.Close() }()
		name := fmt.Sprintf("long%d", n)
		for left := n; left > 0; left -= len(name) + 1 {
			if len(name) >= left-1 || left < 200 {
				w.must(dir.WriteFile(strings.Repeat("f", max(1, left)), []byte("deep"), 0o644))
				return
			}
			w.must(dir.Mkdir(name, 0o755))
			next, err := dir.OpenRoot(name)
			w.must(err)
			dir.Close()
			dir, name = next, strings.Repeat("d", 99)
		}
	})
}

// rewriteSameSize writes other bytes of the same number, and sets the old time
// back half of the times.
func (w *world) rewriteSameSize(name string) {
	w.Helper()
	w.edit(func() {
		info, err := os.Stat(w.at(name))
		w.must(err)
		b := make([]byte, info.Size())
		for i := range b {
			b[i] = byte(w.rand.Uint32())
		}
		w.must(os.WriteFile(w.at(name), b, 0o644))
		if w.rand.IntN(2) == 0 {
			w.must(os.Chtimes(w.at(name), info.ModTime(), info.ModTime()))
		}
	})
}
