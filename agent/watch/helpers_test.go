package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
	"syncagent/rsyncd/rsyncdtest"
)

// patience bounds every wait for a condition; a test that reaches it has failed.
const patience = 20 * time.Second

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("waited in vain: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// watching is a watcher that runs on a directory of the test's own, with all it said.
type watching struct {
	t     testing.TB
	root  string
	w     *Watcher
	stop  context.CancelFunc
	ended chan struct{} // closed when the run has ended, with err
	err   error
	b     *fsnotifyBackend // set by startBackend alone

	mu     sync.Mutex
	events []Event
	linked []tree.Path // what was told to have other names
	gate   sync.Mutex  // held by a test that wants the receiver to stand still
	calm   int         // number of the last sentinel
}

// record is the sink.
func (h *watching) record(e Event) {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Linked {
		h.linked = append(h.linked, e.Path)
		return
	}
	h.events = append(h.events, e)
}

// all returns what was reported since the last forget, without the sentinels.
func (h *watching) all() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.events), func(e Event) bool {
		return strings.HasPrefix(string(e.Path), sentinel)
	})
}

func (h *watching) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = nil
}

// saw reports whether an event satisfies cond.
func (h *watching) saw(cond func(Event) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.events, cond)
}

// start runs a watcher until it is ready. The test's end stops it, and fails when
// a goroutine stays behind.
func start(t testing.TB, cfg Config) *watching {
	t.Helper()
	h := prepare(t, cfg)
	h.launch(h.w.Run)
	return h
}

// eachBackend runs a test with each backend that the kernel feeds.
func eachBackend(t *testing.T, test func(t *testing.T, backend Backend)) {
	for _, backend := range []Backend{Fsnotify, Fanotify} {
		t.Run(string(backend), func(t *testing.T) {
			if backend == Fanotify {
				needFanotify(t, "")
			}
			test(t, backend)
		})
	}
}

// needFanotify skips a test when fanotify does not work for dir, a temporary
// directory by default, unless it must.
func needFanotify(t testing.TB, dir string) {
	t.Helper()
	if dir == "" {
		dir = resolved(t, t.TempDir())
	}
	if err := checkFanotify(Config{Root: dir}); err != nil {
		rsyncdtest.Lacks(t, "fanotify", err)
	}
}

// startPaced is start with the backend of cfg, which is not auto, without the
// look-out for mounts and remote file systems.
func startPaced(t testing.TB, cfg Config, p pace) *watching {
	t.Helper()
	switch cfg.Backend {
	case Fsnotify:
		return startBackend(t, cfg, p, func(*fsnotifyBackend) {})
	case oldFanotify:
		return startFanotify(t, cfg, p, func(b *fanotifyBackend) { withoutRename(t, b) })
	}
	return startFanotify(t, cfg, p, func(*fanotifyBackend) {})
}

// oldFanotify is fanotify as it is before Linux 5.17.
const oldFanotify Backend = "fanotify without FAN_RENAME"

// withoutRename has the kernel report moves the old way.
func withoutRename(t testing.TB, b *fanotifyBackend) {
	for _, v := range b.volumes {
		for add, mask := range map[uint]uint64{unix.FAN_MARK_REMOVE: unix.FAN_RENAME, unix.FAN_MARK_ADD: fanMoves} {
			if err := unix.FanotifyMark(v.group, add|unix.FAN_MARK_FILESYSTEM, mask, unix.AT_FDCWD, b.dir.path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// startFanotify is startBackend for the other backend.
func startFanotify(t testing.TB, cfg Config, p pace, change func(b *fanotifyBackend)) *watching {
	t.Helper()
	h := prepare(t, cfg)
	dir := rootDir{path: h.root}
	if err := dir.pin(); err != nil {
		t.Fatal(err)
	}
	h.launch(func(ctx context.Context, sink func(Event), ready func()) error {
		b, err := newFanotify(h.w.cfg, p, dir, &outlet{sink: sink, meter: &h.w.meter}, false)
		if err != nil {
			return err
		}
		change(b)
		return b.run(ctx, ready)
	})
	return h
}

// startBackend is start with the backend in the test's hands: faults may be
// injected by change before it runs, and mounts are not followed.
func startBackend(t testing.TB, cfg Config, p pace, change func(b *fsnotifyBackend)) *watching {
	t.Helper()
	h := prepare(t, cfg)
	dir := rootDir{path: h.root}
	if err := dir.pin(); err != nil {
		t.Fatal(err)
	}
	h.launch(func(ctx context.Context, sink func(Event), ready func()) (err error) {
		h.b, err = newFsnotify(h.w.cfg, p, dir, &outlet{sink: sink, meter: &h.w.meter})
		if err != nil {
			return err
		}
		change(h.b)
		return h.b.run(ctx, ready)
	})
	return h
}

func prepare(t testing.TB, cfg Config) *watching {
	h := &watching{t: t, root: cfg.Root}
	if h.root == "" {
		h.root = resolved(t, t.TempDir())
		cfg.Root = h.root
	}
	h.w = New(cfg)
	return h
}

func (h *watching) launch(run func(context.Context, func(Event), func()) error) {
	h.t.Helper()
	before := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(h.t.Context())
	h.stop = stop
	ready := make(chan struct{})
	ended := make(chan struct{})
	h.ended = ended
	go func() {
		defer close(ended)
		h.err = run(ctx, h.record, func() { close(ready) })
	}()
	select {
	case <-ready:
	case <-ended:
		h.t.Fatalf("run ended before it was ready: %v", h.err)
	}
	h.t.Cleanup(func() {
		stop()
		<-ended
		if h.err != nil && !errors.Is(h.err, ErrRootLost) {
			h.t.Errorf("run: %v", h.err)
		}
		eventually(h.t, "goroutines of the watcher to end", func() bool { return runtime.NumGoroutine() <= before })
	})
}

// end waits for the run to end by itself.
func (h *watching) end() error {
	h.t.Helper()
	select {
	case <-h.ended:
		return h.err
	case <-time.After(patience):
		h.t.Fatal("the run did not end")
		return nil
	}
}

// sentinel begins the names of files whose events show that all earlier ones came.
const sentinel = ".sentinel-"

// settle waits until everything that happened before was reported.
func (h *watching) settle() {
	h.t.Helper()
	h.calm++
	name := fmt.Sprintf("%s%d", sentinel, h.calm)
	eventually(h.t, "the sentinel's event and no open job", func() bool {
		// Written again and again, since it may fall into an overflow.
		write(h.t, filepath.Join(h.root, name), "x")
		return h.saw(func(e Event) bool { return e.Path == tree.Path(name) }) && h.w.Stats().Unsettled == 0
	})
	if err := os.Remove(filepath.Join(h.root, name)); err != nil {
		h.t.Fatal(err)
	}
}

func resolved(t testing.TB, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, name string) {
	t.Helper()
	if err := os.MkdirAll(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

// rel returns the path of what stands at abs.
func (h *watching) rel(abs string) tree.Path { return rootDir{path: h.root}.rel(abs) }

// realDirs returns the directories at and below root, absolute and in order.
func realDirs(t testing.TB, root string) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(dirs)
	return dirs
}

// checkFanotify says why Auto would not take fanotify for this root; nil when it
// would.
func checkFanotify(cfg Config) error {
	w := New(cfg)
	dir := rootDir{path: filepath.Clean(cfg.Root)}
	if err := dir.pin(); err != nil {
		return err
	}
	b, err := w.fanotify(dir, &outlet{sink: func(Event) {}, meter: &w.meter})
	if err != nil {
		return err
	}
	b.(*fanotifyBackend).close()
	return nil
}
