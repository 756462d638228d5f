package rsyncd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"syncagent/rsyncd"
	"syncagent/rsyncd/rsyncdtest"
)

// canonical is the run that pushes listed paths.
const canonical = "-a -I --modify-window=-1 --sockopts=TCP_NODELAY --files-from=- --from0" +
	" --delete-missing-args --force --no-motd -ii --timeout=60 --contimeout=10 --out-format=%i|%n|%l"

// sweep is the run that pushes whole subtrees.
const sweep = "-a -r --modify-window=-1 --sockopts=TCP_NODELAY --files-from=- --from0" +
	" --force --timeout=60 --contimeout=10 --out-format=%i|%n|%l"

type result struct {
	code        int
	out, errOut string
}

func run(t *testing.T, d *rsyncdtest.Daemon, list string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rsyncdtest.Rsync(t), append([]string{"--password-file=" + d.PasswordFile}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(list, " ", "\x00"))
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	if cmd.ProcessState == nil {
		t.Error("rsync did not start")
		return result{code: -1}
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

func source(t *testing.T) string {
	t.Helper()
	src := t.TempDir()
	for path, content := range map[string]string{"a": "alpha", "dir/b": "beta", "dir/sub/c": "gamma", "#hash": "x"} {
		file := filepath.Join(src, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"abs": "/etc/passwd", "up": "../../x", "dir/in": "b"} {
		if err := os.Symlink(target, filepath.Join(src, link)); err != nil {
			t.Fatal(err)
		}
	}
	return src
}

const everything = "/#hash /a /abs /dir /dir/b /dir/in /dir/sub /dir/sub/c /up"

// added are the options that a module's configuration may add to a run.
func added() []string {
	return []string{
		"", "-c", "--compress", "--compress --compress-choice=zstd --compress-level=3", "--compress --compress-choice=zlib",
		"--compress --compress-choice=zlibx", "--compress --compress-choice=lz4", "--bwlimit=100M", "--numeric-ids",
		"-H", "-A", "-X", "-S", "-W", "--no-W", "--fsync", "--partial-dir=.rsync-partial", "--partial",
		"--backup --backup-dir=.trash/1", "--backup --backup-dir=.trash --suffix=.old", "--max-delete=100", "--skip-compress=gz/jpg",
		"--exclude=*.tmp", "--block-size=2048", "--checksum-choice=md5", "--preallocate", "--executability", "-n", "--fake-super",
	}
}

// Our runs, with each option that may be added, go through and leave an exact
// copy: as root links too, which only chroot stores as they are.
func TestReceiverTakesOurRuns(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	var modules []rsyncdtest.Module
	for i := range added() {
		modules = append(modules, rsyncdtest.Module{Name: fmt.Sprint("m", i)})
	}
	src, d := source(t), rsyncdtest.Start(t, rsyncdtest.Options{Modules: modules})
	for i, extra := range added() {
		t.Run("with "+extra, func(t *testing.T) {
			args := append(strings.Fields(canonical+" "+extra), src+"/", d.URL(modules[i].Name))
			if r := run(t, d, everything, args...); r.code != 0 || r.errOut != "" {
				t.Fatalf("exit %d\n%s%s", r.code, r.out, r.errOut)
			}
			want := src
			if extra == "-n" {
				want = t.TempDir()
			}
			rsyncdtest.SameTree(t, want, d.Path(modules[i].Name))
		})
	}
}

// One tree's life by the runs of a push, a sweep, and the dry run that lists
// what is too much.
func TestReceiverTakesPushSweepAndDeletes(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	src, d := source(t), rsyncdtest.Start(t, rsyncdtest.Options{})
	dst := d.Path("data")
	must := func(list, args string) string {
		t.Helper()
		r := run(t, d, list, append(strings.Fields(args), src+"/", d.URL("data"))...)
		if r.code != 0 || r.errOut != "" {
			t.Fatalf("rsync %s: exit %d\n%s%s", args, r.code, r.out, r.errOut)
		}
		return r.out
	}
	must("/dir /a /abs /up /#hash", sweep)
	rsyncdtest.SameTree(t, src, dst)

	for _, extra := range []string{"x1", "dir/x2", "dir/x3/deep/x4"} {
		if err := os.MkdirAll(filepath.Join(dst, extra), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, deletes := range []string{"--delete", "--delete-during", "--delete --max-delete=10"} {
		out := must("/dir", sweep+" -n "+deletes)
		if !strings.Contains(out, "*deleting  |dir/x2/|") || strings.Contains(out, "x1") {
			t.Errorf("%s lists\n%s", deletes, out)
		}
	}
	if err := os.RemoveAll(filepath.Join(src, "dir/sub")); err != nil {
		t.Fatal(err)
	}
	must("/dir/sub /dir/x2 /dir/x3 /x1 /dir", canonical)
	rsyncdtest.SameTree(t, src, dst)
	if log := d.Log(); !strings.Contains(log, "recv <f+++++++++ data repl 127.0.0.1") && !strings.Contains(log, "recv >f+++++++++ data repl 127.0.0.1") {
		t.Errorf("the transfer is not in the log:\n%s", log)
	}
}

// What our runs never send is refused, and leaves source and copy as they were.
func TestReceiverRefusesTheRest(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	src, d := source(t), rsyncdtest.Start(t, rsyncdtest.Options{})
	dst := d.Path("data")
	if r := run(t, d, everything, append(strings.Fields(canonical), src+"/", d.URL("data"))...); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.errOut)
	}
	before := t.TempDir()
	if out, err := exec.Command("cp", "-a", src+"/.", before).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refuses(t, d, src+"/", d.URL("data"),
		"--inplace", "--append", "--append-verify", "--delete-excluded", "--delete-after", "--delete-delay", "--ignore-errors",
		"--chown=1:1", "--usermap=*:nobody", "--copy-dest=/etc", "--compare-dest=/etc", "--temp-dir=/tmp",
		"--existing", "--ignore-existing", "-u", "--size-only", "--max-size=1", "--min-size=9", "-M--fake-super", "--super",
		"--write-devices", "-M--copy-devices", "--delay-updates", "--fuzzy", "--iconv=utf8,latin1", "-M--log-file=/tmp/y",
		"-M--insecure-links", "-K", "-M--remove-source-files --inplace", "--max-alloc=2G", "-O -J -U")
	rsyncdtest.SameTree(t, src, before)
	rsyncdtest.SameTree(t, src, dst)
	for _, pull := range []string{"-a", "-a --remove-source-files", "-a --delete"} {
		t.Run("pull "+pull, func(t *testing.T) {
			into := t.TempDir()
			r := run(t, d, "", append(strings.Fields(pull), d.URL("data"), into)...)
			if r.code == 0 {
				t.Errorf("went through\n%s", r.out)
			}
			rsyncdtest.SameTree(t, t.TempDir(), into)
			rsyncdtest.SameTree(t, src, dst)
		})
	}
	if r := run(t, d, "", strings.TrimSuffix(d.URL(""), "/")); strings.Contains(r.out, "data") {
		t.Errorf("the modules are listed:\n%s", r.out)
	}
}

// What a module links it has itself: a symbolic link leads nowhere out of it. One
// without chroot links nothing.
func TestReceiverLinksItsOwn(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	src, d := source(t), rsyncdtest.Start(t, rsyncdtest.Options{})
	dst, outside := d.Path("data"), t.TempDir()
	for dir, name := range map[string]string{outside: "a", dst: "dir/a"} {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if out, err := exec.Command("cp", "-a", src+"/a", file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	must(t, os.Symlink(outside, filepath.Join(dst, "way")))
	for from, links := range map[string]uint64{"dir": 2, "way": 1, "../../../.." + outside: 1} {
		r := run(t, d, "/a /abs", append(strings.Fields(sweep), "--link-dest=../"+from, src+"/", d.URL("data")+"to/")...)
		fi, err := os.Stat(filepath.Join(dst, "to/a"))
		if err != nil || fi.Sys().(*syscall.Stat_t).Nlink != links {
			t.Errorf("%s: %v, %+v, exit %d\n%s", from, err, fi, r.code, r.errOut)
		}
		must(t, os.RemoveAll(filepath.Join(dst, "to")))
	}
	for noChroot, want := range map[bool]bool{false: true, true: false} {
		c := rsyncd.Receiver(rsyncd.Spec{Root: true, Modules: []rsyncd.ModuleSpec{{Name: "m", NoChroot: noChroot}}})
		if got := slices.Contains(c.Modules[0].RefuseOptions, "!link-dest"); got != want {
			t.Errorf("without chroot %v: %v", noChroot, got)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refuses runs all at once: the daemon takes half a second for each refusal.
func refuses(t *testing.T, d *rsyncdtest.Daemon, from, to string, options ...string) {
	t.Helper()
	const base = "-a --timeout=20 --delete "
	if r := run(t, d, "", append(strings.Fields(base), from, to)...); r.code != 0 {
		t.Fatalf("without any of the options: exit %d\n%s", r.code, r.errOut)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 6)
	for _, o := range options {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r := run(t, d, "", append(strings.Fields(base+o), from, to)...)
			if r.code == 0 || !strings.Contains(r.errOut, "configured to refuse") {
				t.Errorf("%s: exit %d\n%s%s", o, r.code, r.out, r.errOut)
			}
		})
	}
	wg.Wait()
}

func TestReadOnlyModuleCanBePulled(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	src := source(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "ro", Path: src, ReadOnly: true}}})
	into := t.TempDir()
	if r := run(t, d, "", "-a", "--modify-window=-1", d.URL("ro"), into); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.errOut)
	}
	rsyncdtest.SameTree(t, src, into)
	if r := run(t, d, "/a", append(strings.Fields(canonical), into+"/", d.URL("ro"))...); r.code == 0 {
		t.Error("a push went through")
	}
}

// Without chroot, which needs root, nothing leaves the module: links are
// stored so that they lead nowhere.
func TestWithoutChrootLinksAreMunged(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	src := source(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{Edit: func(c *rsyncd.Conf) {
		c.Modules[0].Chroot, c.Modules[0].MungeSymlinks = rsyncd.No, rsyncd.Yes
	}})
	if r := run(t, d, everything, append(strings.Fields(canonical), src+"/", d.URL("data"))...); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.errOut)
	}
	for link, want := range map[string]string{"abs": "/rsyncd-munged//etc/passwd", "up": "/rsyncd-munged/../../x"} {
		if got, err := os.Readlink(filepath.Join(d.Path("data"), link)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", link, got, err, want)
		}
	}
}
