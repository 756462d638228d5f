package journal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

var errFault = errors.New("fault")

func failAt(fault step) func(step) error {
	return func(op step) error {
		if op == fault {
			return errFault
		}
		return nil
	}
}

func steps() []step {
	return []step{stepCreate, stepWrite, stepSync, stepClose, stepRename, stepSyncDir, stepDone}
}

// TestOrder: nothing is renamed before the disk has it.
func TestOrder(t *testing.T) {
	s := open(t, t.TempDir())
	var got []step
	s.before = func(op step) error {
		got = append(got, op)
		return nil
	}
	if err := s.SaveTarget("www", "s1", sample()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(steps(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFaults: whichever step fails, Save says so, a whole record stands there, and nothing is
// left over.
func TestFaults(t *testing.T) {
	for _, op := range steps() {
		t.Run(string(op), func(t *testing.T) {
			s := open(t, t.TempDir())
			if err := s.SaveTarget("www", "s1", sample()); err != nil {
				t.Fatal(err)
			}
			s.before = failAt(op)
			if err := s.SaveTarget("www", "s1", Target{Remote: "new"}); !errors.Is(err, errFault) {
				t.Errorf("got %v", err)
			}
			want := sample()
			if op == stepSyncDir || op == stepDone { // the new name is in place
				want = Target{Remote: "new"}
			}
			got, err := s.LoadTarget("www", "s1")
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if files := state(t, s.dir); len(files) != 1 {
				t.Errorf("left over: %d files", len(files))
			}
		})
	}
}

// What another process is to do with the state directory.
const (
	envDir  = "JOURNAL_TEST_DIR"
	envTask = "JOURNAL_TEST_TASK"
)

// TestMain is also the other process of the tests below.
func TestMain(m *testing.M) {
	if task := os.Getenv(envTask); task != "" {
		if err := child(os.Getenv(envDir), task); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// syncing a memory file system costs nothing; TMPDIR=/var/tmp shows what a disk costs
	if _, set := os.LookupEnv("TMPDIR"); !set && unix.Access("/dev/shm", unix.W_OK) == nil {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}

func child(dir, task string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	switch op, kind, _ := strings.Cut(task, " "); op {
	case "crash":
		s.before = func(at step) error {
			if at == step(kind) {
				unix.Kill(os.Getpid(), unix.SIGKILL)
			}
			return nil
		}
	case "full":
		// a write is cut short at this size, as by a disk that fills up
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100, Max: 100}); err != nil {
			return err
		}
	}
	return s.SaveTarget("www", "s1", Target{Remote: "new"})
}

func otherProcess(t *testing.T, dir, task string) (out string, err error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envDir+"="+dir, envTask+"="+task)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// TestCrash kills a process before each step of a Save: the next one finds the old or the new
// record, and clears up.
func TestCrash(t *testing.T) {
	for i, op := range steps() {
		t.Run(string(op), func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if err := s.SaveTarget("www", "s1", sample()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if out, err := otherProcess(t, dir, "crash "+string(op)); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v\n%s", err, out)
			}
			if left := len(state(t, dir)) - 1; (left == 1) != (i >= 1 && i <= 4) {
				t.Errorf("%d temporary files after the crash", left)
			}
			want := sample()
			if i > slices.Index(steps(), stepRename) {
				want = Target{Remote: "new"}
			}
			s = open(t, dir)
			got, err := s.LoadTarget("www", "s1")
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if files := state(t, dir); len(files) != 1 {
				t.Errorf("left over: %d files", len(files))
			}
		})
	}
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.SaveTarget("www", "s1", sample()); err != nil {
		t.Fatal(err)
	}
	before := state(t, dir)
	s.Close()
	if out, err := otherProcess(t, dir, "full"); err == nil || !strings.Contains(out, "file too large") {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(before, state(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir)
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir {
		t.Errorf("got %v", err)
	}
	out, err := otherProcess(t, dir, "save")
	if want := fmt.Sprintf("stop process %d", os.Getpid()); err == nil || !strings.Contains(out, want) {
		t.Errorf("another process: %v\n%s", err, out)
	}
	s.Close()
	if out, err := otherProcess(t, dir, "save"); err != nil {
		t.Errorf("after Close: %v\n%s", err, out)
	}
}

func TestLockedByNobodyKnown(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := Open(dir); !errors.As(err, &locked) || locked.PID != 0 || strings.Contains(err.Error(), "process 0") {
		t.Errorf("got %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("opened a file as a directory")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "x.tmp", "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("opened with a leftover that cannot be removed")
	}
}

func BenchmarkSave(b *testing.B) {
	rec := sample()
	rec.Pending = nil
	for i := range 10_000 {
		rec.Pending = append(rec.Pending, m(tree.Path(fmt.Sprintf("some/directory/of/a/site/%05d/index.php", i)), tree.Content))
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encodeTarget(rec, "www", "s1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	data, err := encodeTarget(rec, "www", "s1")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeTarget(data, "www", "s1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	s := open(b, b.TempDir())
	for name, rec := range map[string]Target{"save-10k": rec, "save-3": sample()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := s.SaveTarget("www", "s1", rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
