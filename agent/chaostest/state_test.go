package chaostest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func stateCases() []faultCase {
	return []faultCase{
		{
			name: "journal_truncated",
			says: "the agent is killed and a journal of its is cut at every byte, each time before a start",
			fault: func(w *world) {
				w.agent.kill()
				for _, name := range w.journals() {
					w.cutEverywhere(name)
				}
				w.startAgent()
			},
			bound: 2 * time.Minute,
		},
		{
			name: "journal_foreign",
			says: "the journals are swapped with each other, and with random bytes, before a start",
			fault: func(w *world) {
				w.agent.kill()
				names := w.journals()
				a, b := names[0], names[len(names)-1]
				w.must(os.Rename(a, a+".x"))
				w.must(os.Rename(b, a))
				w.must(os.Rename(a+".x", b))
				w.startAgent()
				w.letPass(time.Second)
				w.agent.kill()
				for _, name := range w.journals() {
					junk := make([]byte, 300)
					for i := range junk {
						junk[i] = byte(w.rand.Uint32())
					}
					w.must(os.WriteFile(name, junk, 0o600))
				}
				w.startAgent()
			},
		},
		{
			name:  "state_full",
			says:  "the disk of the state directory is full, the agent is killed and started, then there is room",
			setup: func(w *world) { w.mountTmpfs(w.state(), "size=128k,mode=0700") },
			fault: func(w *world) {
				fill := filepath.Join(w.state(), "fill")
				_ = os.WriteFile(fill, make([]byte, 256<<10), 0o600) // as much as there is room for
				w.arrives(time.Minute, 0)
				w.agent.kill()
				w.startAgent()
				w.arrives(time.Minute, 0)
				w.must(os.Remove(fill))
			},
		},
		{
			name: "state_read_only",
			says: "the journal's directory becomes read-only under the running agent, which is killed and refuses to start, then can be written again",
			fault: func(w *world) {
				dir := filepath.Join(w.state(), "journal")
				w.must(unix.Mount(dir, dir, "", unix.MS_BIND, ""))
				w.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
				w.must(unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
				w.arrives(time.Minute, 0)
				pause(3 * time.Second)
				w.agent.kill()
				if code, said := w.master.exit(agentBinary(), "run", "-c", w.conf); code != 1 || !strings.Contains(said, dir) {
					w.Errorf("the agent ended with %d: %s", code, said)
				}
				w.must(unix.Unmount(dir, unix.MNT_DETACH))
				w.startAgent()
			},
		},
		{
			name: "config_reloaded", slaves: 2,
			says: "the configuration is read again every second, with filters and a target that come and go",
			fault: func(w *world) {
				good := w.yaml()
				filtered := strings.Replace(good, "    delete_guard", "    filter: [\"- *.tmp\"]\n    delete_guard", 1)
				alone := strings.Replace(good, "    delete_guard", "    targets: [s1]\n    delete_guard", 1)
				for range rounds(10, 2) {
					for _, yaml := range []string{filtered, good, alone, good} {
						w.reloadAgent(yaml, rereadText)
						w.letPass(2 * time.Second)
					}
				}
			},
		},
		{
			name: "config_broken", short: true,
			says: "configurations with random bytes changed are read while running; the old one stays in force or the new one is valid",
			fault: func(w *world) {
				good := w.yaml()
				for range rounds(200, 20) {
					w.write(w.conf, w.mangle(good))
					w.agent.signal(syscall.SIGHUP)
					w.letPass(50 * time.Millisecond)
				}
				w.reloadAgent(good, rereadText)
			},
		},
		{
			name: "broken_rsync", quiet: true,
			says: "rsync on the master crashes, writes 200 MB of errors, or is no program, then works again",
			fault: func(w *world) {
				for _, script := range []string{
					"#!/bin/sh\nkill -SEGV $$\n",
					"#!/bin/sh\nhead -c 200000000 /dev/zero | tr '\\0' x >&2; exit 12\n",
					"not a program",
				} {
					w.withRsync(script)
					w.file("while-broken", 100)
					pause(5 * time.Second)
				}
			},
			heal: func(w *world) {
				w.stopAgent()
				w.startAgent()
			},
		},
	}
}

// journals lists the journal's files.
func (w *world) journals() []string {
	w.Helper()
	var names []string
	for _, kind := range []string{"*.module", "*.target"} {
		found, err := filepath.Glob(filepath.Join(w.state(), "journal", kind))
		w.must(err)
		names = append(names, found...)
	}
	if len(names) < 2 {
		w.Fatalf("journals are missing in %s: %q", w.state(), names)
	}
	return names
}

// cutEverywhere starts the agent on each beginning of a journal.
func (w *world) cutEverywhere(name string) {
	w.Helper()
	whole, err := os.ReadFile(name)
	w.must(err)
	step := max(1, len(whole)/rounds(150, 5))
	for n := 0; n < len(whole); n += step {
		w.must(os.WriteFile(name, whole[:n], 0o600))
		w.startAgent()
		w.agent.kill()
	}
}

// mangle changes some random bytes.
func (w *world) mangle(text string) string {
	b := []byte(text)
	for range 1 + w.rand.IntN(4) {
		b[w.rand.IntN(len(b))] = byte(w.rand.Uint32())
	}
	return string(b)
}

// withRsync starts the agent anew with another program as rsync.
func (w *world) withRsync(script string) {
	w.Helper()
	bin := filepath.Join(w.dir, "bin")
	w.must(os.MkdirAll(bin, 0o755))
	_ = os.Remove(filepath.Join(bin, "rsync"))
	w.must(os.WriteFile(filepath.Join(bin, "rsync"), []byte(script), 0o755))
	w.stopAgent()
	w.launchAgent("PATH=" + bin + ":" + os.Getenv("PATH"))
	w.eventually(launchTime, func() error {
		if w.agent.ended(0) {
			return fmt.Errorf("ended: %w", w.agent.err)
		}
		_, err := w.status()
		return err
	})
}
