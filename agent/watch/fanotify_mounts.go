package watch

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

func (b *fanotifyBackend) mounted(p tree.Path) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meter.unsettled.Add(1)
	b.changed = append(b.changed, p)
	b.poller.wake()
}

// answerMounts watches what was mounted, then reports it.
func (b *fanotifyBackend) answerMounts() error {
	b.mu.Lock()
	changed := b.changed
	b.changed = nil
	b.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	if err := b.remount(false); err != nil {
		return err
	}
	for _, p := range changed {
		what := tree.Content
		if !excludedAt(b.excludes, p) {
			what |= tree.Deep
		}
		b.out.emit(Event{Path: p, What: what, Cause: Mounted})
		b.meter.unsettled.Add(-1)
	}
	return nil
}

// retryBlind tries again to watch what could not be watched, which reports it.
func (b *fanotifyBackend) retryBlind() error {
	if !b.meter.blind.any() {
		return nil
	}
	return b.remount(false)
}

// remount makes the marks equal to what is mounted at and below the root now.
// What cannot be watched is reported as a whole, or an error when strict.
func (b *fanotifyBackend) remount(strict bool) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := mountLines(data)
	b.round++
	for _, v := range b.volumes {
		v.letGo()
		v.spots = nil
		v.cache.clear()
	}
	for _, p := range b.places(lines) {
		err := b.watch(p, lines)
		switch {
		case err == nil || absent(err) && p != tree.Root:
		case p == tree.Root || strict:
			return fmt.Errorf("%s: %w", b.dir.abs(p), err)
		default:
			b.blind(p, err)
		}
	}
	for dev, v := range b.volumes {
		if len(v.spots) == 0 {
			v.close()
			delete(b.volumes, dev)
		}
	}
	b.meter.blind.expire(tree.Root, b.round)
	b.meter.systems.Store(int64(len(b.volumes)))
	return nil
}

// places returns the root and what is mounted below it, but where it is excluded.
func (b *fanotifyBackend) places(lines []mountLine) []tree.Path {
	places := []tree.Path{tree.Root}
	for _, m := range lines {
		if !b.dir.below(m.place) {
			continue
		}
		if p := b.dir.rel(m.place); !excludedAt(b.excludes, p) {
			places = append(places, p)
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// watch watches the file system that p stands on.
func (b *fanotifyBackend) watch(p tree.Path, lines []mountLine) error {
	s := &spot{path: p, fd: -1}
	defer s.leave()
	if err := b.enter(s); err != nil {
		return err
	}
	handle, mount, err := unix.NameToHandleAt(s.fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("name it by a handle: %w%s", err, fanRemedy(err))
	}
	v, err := b.volume(superblock(lines, strconv.Itoa(mount)))
	if err != nil {
		return err
	}
	if err := markFilesystem(v.group, s.fd); err != nil {
		return err
	}
	if err := b.probe(s, handle); err != nil {
		return err
	}
	v.spots = append(v.spots, s)
	return nil
}

// superblock names the superblock of a mount. One that is not listed was mounted
// since, which will be told.
func superblock(lines []mountLine, mount string) string {
	for _, m := range lines {
		if m.id == mount {
			return m.dev
		}
	}
	return "mount " + mount
}

// volume returns the volume of a superblock, a new one if need be.
func (b *fanotifyBackend) volume(superblock string) (*volume, error) {
	if v := b.volumes[superblock]; v != nil {
		return v, nil
	}
	group, err := newFanGroup()
	if err != nil {
		return nil, err
	}
	v := &volume{group: group}
	b.volumes[superblock] = v
	if err := b.poller.add(group); err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	return v, nil
}

// probe finds the directory of s by its own handle, as it will be done with those
// of events.
func (b *fanotifyBackend) probe(s *spot, h unix.FileHandle) error {
	key := binary.NativeEndian.AppendUint32(nil, uint32(h.Type()))
	abs, err := b.locate(s, append(key, h.Bytes()...))
	if err != nil {
		return fmt.Errorf("%w%s", err, fanRemedy(err))
	}
	if want := b.dir.abs(s.path); abs != want {
		return fmt.Errorf("its handle leads to %q", abs)
	}
	return nil
}

// blind says that the file system at p is not watched.
func (b *fanotifyBackend) blind(p tree.Path, err error) {
	b.quiet.warn(b.log, "cannot watch a file system, reporting it once a minute", "path", p, "error", err)
	b.meter.blind.add(p, Unreadable, b.round)
	b.out.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: Unreadable})
}
