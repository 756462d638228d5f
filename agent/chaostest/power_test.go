package chaostest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syncagent/agent/status"
)

func powerCases() []faultCase {
	return []faultCase{
		{
			name:  "power_lost",
			says:  "the power of the master's disk is cut at 20 random moments, each right after a pause was ordered or ended: what was not synced is gone; the agent is started again",
			setup: func(w *world) { w.mountDisk(w.state()) },
			fault: func(w *world) {
				for n := range rounds(20, 3) {
					w.letPass(2 * time.Second)
					paused := n%2 == 0
					w.master.run(w.program, map[bool]string{true: "pause", false: "resume"}[paused], "-c", w.conf)
					w.powerCut(w.state(), w.agent.kill)
					w.startAgent()
					w.shows(launchTime, "s1", fmt.Sprintf("paused %v, as before the cut", paused), func(t target) bool { return (t.State == status.Paused) == paused })
					w.noneDamaged()
				}
				w.master.run(w.program, "resume", "-c", w.conf)
			},
			bound: 2 * time.Minute,
		},
		{
			name: "slave_power_lost_synced", settings: "rsync: {extra: [--fsync]}\n",
			says:  "the power of a slave's disk is cut 10 times, each right after files of a burst were confirmed with --fsync: whatever of them is there then is whole; the slave is started anew",
			setup: func(w *world) { w.onDisk(w.slaves[0]) },
			fault: func(w *world) {
				for n := range rounds(10, 2) {
					dir := fmt.Sprintf("burst%d", n)
					w.files(dir, 100)
					w.converge(settleTime)
					w.agent.kill()
					w.bootAnew(w.slaves[0])
					w.holdsWhole(dir)
					w.startAgent()
				}
			},
			quiet: true,
			bound: 3 * time.Minute,
		},
	}
}

// mountDisk mounts a disk of its own, with ext4.
func (w *world) mountDisk(dir string) {
	w.Helper()
	image := filepath.Join(w.dir, filepath.Base(dir)+".img")
	w.must(errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 96<<20)))
	w.says("mkfs.ext4", "-q", "-F", image)
	w.says("mount", "-o", "loop", image, dir)
	w.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	_ = os.Remove(filepath.Join(dir, "lost+found"))
}

// says runs a command, which has to end well.
func (w *world) says(args ...string) {
	w.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		w.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Of the kernel's fs/ext4/ext4.h: the file system stops at once, and what its journal
// has not written yet is lost, as when the power goes.
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// powerCut cuts the power of the disk at dir, ends who worked on it, and mounts what the
// disk has.
func (w *world) powerCut(dir string, end func()) {
	w.Helper()
	f, err := os.Open(dir)
	w.must(err)
	how := uint32(ext4NoLogFlush)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how)))
	f.Close()
	if errno != 0 {
		w.Fatalf("cut the power of %s: %v", dir, errno)
	}
	end()
	w.eventually(time.Minute, func() error { return unix.Unmount(dir, 0) })
	image := filepath.Join(w.dir, filepath.Base(dir)+".img")
	w.eventually(time.Minute, func() error { // mounted while the old one lives, it would be that
		out, err := exec.Command("losetup", "-j", image).CombinedOutput()
		if err == nil && len(out) > 0 {
			err = fmt.Errorf("still in use: %s", out)
		}
		return err
	})
	w.says("mount", "-o", "loop", image, dir)
}

// noneDamaged makes sure that no journal was set aside.
func (w *world) noneDamaged() {
	w.Helper()
	torn, err := filepath.Glob(filepath.Join(w.state(), "journal", "*.corrupt"))
	w.must(err)
	if len(torn) > 0 {
		w.Errorf("damaged by the cut: %q", torn)
	}
}

// onDisk puts a slave's tree on a disk of its own.
func (w *world) onDisk(s *slave) {
	w.Helper()
	s.stopReceiver(w)
	w.must(os.RemoveAll(s.dir))
	w.mountDisk(s.tree)
	s.init(w)
	s.startReceiver(w)
}

// bootScript starts a receiver in a mount namespace with a boot id of its own, and with
// no disk but its slave's: another's could not be unmounted.
const bootScript = `#!/bin/sh
grep ' ext4 ' /proc/self/mounts | cut -d' ' -f2 | grep syncagent-chaos | grep -vFx %s | while read -r dir; do umount "$dir"; done
mount --bind %s /proc/sys/kernel/random/boot_id && exec %s "$@"
`

// bootAnew cuts the power of a slave and starts it, which the kernel's boot id tells.
func (w *world) bootAnew(s *slave) {
	w.Helper()
	w.tamper(func() {
		w.powerCut(s.tree, s.recv.killAll)
		id := filepath.Join(w.dir, "boot_id")
		w.write(id, fmt.Sprintf("%d\n", time.Now().UnixNano()))
		script := filepath.Join(w.dir, "booted")
		w.write(script, fmt.Sprintf(bootScript, s.tree, id, agentBinary()))
		w.must(os.Chmod(script, 0o755))
		agent := w.program
		w.program = filepath.Join(w.dir, "boot")
		w.write(w.program, fmt.Sprintf("#!/bin/sh\nexec unshare -m %s \"$@\"\n", script))
		w.must(os.Chmod(w.program, 0o755))
		s.startReceiver(w)
		w.program = agent
	})
	w.amend()
}

// killAll kills the process and what it started.
func (p *process) killAll() {
	_ = unix.Kill(-p.pid, unix.SIGKILL)
	<-p.done
}

// holdsWhole makes sure that each file of a directory that the slave has, under its name,
// is the master's byte for byte.
func (w *world) holdsWhole(dir string) {
	w.Helper()
	there := filepath.Join(w.slaves[0].tree, dir)
	entries, err := os.ReadDir(there)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // a temporary file, whose rename is gone
		}
		got, err := os.ReadFile(filepath.Join(there, e.Name()))
		w.must(err)
		want, err := os.ReadFile(filepath.Join(w.source, dir, e.Name()))
		w.must(err)
		if !bytes.Equal(got, want) {
			w.Errorf("%s/%s has %d bytes after the cut, of %d", dir, e.Name(), len(got), len(want))
		}
	}
}
