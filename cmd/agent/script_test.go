package main

// The scripts in testdata/script are the specification of the command line: one
// behaviour a file, named after the command it is about. They run the real
// program, real rsync daemons and real directories; nothing is faked.
//
// A script is a list of commands as package testscript describes them
// (https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript), followed by
// files. "go test ./cmd/agent -run TestScripts/^run_changes$" runs one, -v shows all of it,
// -testwork keeps its directory, -update writes golden files and the files
// of a failing cmp anew. Every name is relative to the script's own directory,
// $WORK. What we add:
//
// Setting the scene
//
//	freeport VAR...                   a port nobody listens on, in $VAR
//	slave NAME MODULE...              "agent init slave --dir NAME" that receives into NAME/MODULE; its port is
//	                                  in $NAME_port, its password the one of the file "pass", which is made
//	master NAME MODULE... to SLAVE... makes NAME/MODULE, then "agent init master --dir NAME" that pushes each of
//	                                  them to the slaves made before
//	write FILE TEXT...                one line each; directories are made
//	append FILE TEXT...               the same at the file's end
//	replace FILE OLD NEW              the one place where OLD stands
//	fill DIR N                        N files f0001... of a line each in DIR
//
// Daemons
//
//	exec logged NAME agent receiver -c NAME/receiver.yaml &NAME&
//	exec logged NAME agent run -c NAME/agent.yaml &NAME&
//	                                  starts a daemon that logs into NAME.log, which a failing script shows
//	exec logged NAME postbox PORT [SECRET] &NAME&
//	                                  prints the HTTP requests it takes: a hook's headers, then method, path and body
//	exec logged NAME earpiece PORT|FILE &NAME&
//	                                  prints in quotes what each connection to a port or a unix socket brings
//	ready NAME...                     waits until NAME.log says so
//	signal SIG NAME                   TERM, HUP, KILL, ... to the daemon started with "logged NAME"
//	pid VAR NAME                      its process id
//	wait NAME                         testscript's own: it has ended, with exit code 0
//
//	exec fetch METHOD URL             prints the body of an HTTP answer; fails where that is not 200
//
// Whatever still runs at the script's end is stopped; a process that then still
// has $WORK in its command line fails the script.
//
// Checks. Each can stand alone, negated by !, or after eventually, which asks
// until the answer is yes (half a minute at most; nothing here just sleeps):
//
//	eventually [!] CHECK ARGS...
//	runs CMD ARGS...                  exit code 0
//	prints REGEXP CMD ARGS...         ... and standard output matches
//	exits CODE CMD ARGS...            this exit code; stdout and stderr look at the output afterwards
//	there FILE...                     each exists, as whatever
//	has FILE REGEXP                   the file's content matches
//	equal A B                         two files' bytes
//	sametree A B                      two trees: names, types, modes, owners, times, links, every byte
//	target NAME MODULE/TARGET COND... what the running agent of instance NAME says of a target; COND is
//	                                  key=value or key~regexp with the keys of "agent status --output json"
//	json FILE PATH [VALUE]            PATH as changes.0.action; FILE may be stdout; arrays and objects as JSON
//	perm MODE FILE...                 as 0600
//	listens PORT                      somebody takes connections on 127.0.0.1
//	cmdline TEXT                      some process has TEXT in its arguments
//
// Comparing with before
//
//	snapshot FILE PATH...             writes what stat(2) and the bytes say of all that is there, with inode and
//	                                  change time: two equal snapshots prove that nothing was written
//	inode VAR FILE                    its inode number
//	golden FILE NAME                  FILE equals testdata/golden/NAME
//
// The condition [root] is whether the script runs as root; with AGENT_TEST_MUST_RUN=root it has to.

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"syncagent/rsyncd/rsyncdtest"
)

var update = flag.Bool("update", false, "write golden files and script files anew")

func TestMain(m *testing.M) {
	// Scripts wait more than they compute; -parallel still has the last word.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"agent": main, "logged": logged, "postbox": postbox, "earpiece": earpiece, "fetch": fetch})
}

// logged runs a program with its output in a file, under its own process id.
func logged() {
	err := func() error {
		log, err := os.Create(os.Args[1] + ".log")
		if err != nil {
			return err
		}
		program, err := exec.LookPath(os.Args[2])
		if err != nil {
			return err
		}
		for fd := 1; fd <= 2; fd++ {
			if err := syscall.Dup3(int(log.Fd()), fd, 0); err != nil {
				return err
			}
		}
		return syscall.Exec(program, os.Args[2:], os.Environ())
	}()
	fmt.Fprintln(os.Stderr, "logged:", err)
	os.Exit(1)
}

func TestScripts(t *testing.T) {
	needTools(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		WorkdirRoot:         workdir(t),
		Setup:               setup,
		Cmds:                commands(),
		Condition:           condition,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// needTools fails, and does not skip, where a tool is missing.
func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"rsync", "setpriv", "flock"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the scripts need %s: %v", tool, err)
		}
	}
}

// workdir is where scripts work: open to others, since some of them start
// daemons that are not root, and so is the directory of the program.
func workdir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-script")
	if err != nil {
		t.Fatal(err)
	}
	if keep := flag.Lookup("testwork"); keep == nil || keep.Value.String() != "true" {
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	program, err := exec.LookPath("agent")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(program)
	for _, open := range []string{dir, bin, filepath.Dir(bin)} {
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var errNotRoot = errors.New("these tests have to run as root here: AGENT_TEST_MUST_RUN says so")

func condition(cond string) (bool, error) {
	if cond == "root" {
		root := os.Geteuid() == 0
		if !root && rsyncdtest.MustRun(cond) {
			return false, errNotRoot
		}
		return root, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

func setup(env *testscript.Env) error {
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		return err
	}
	env.Setenv("RSYNC", rsync)
	if err := os.Chmod(env.Getenv("TMPDIR"), 0o777); err != nil {
		return err
	}
	t := env.T().(interface {
		Failed() bool
		Errorf(format string, args ...any)
		Logf(format string, args ...any)
	})
	env.Defer(func() {
		if t.Failed() {
			t.Logf("%s", logs(env.WorkDir))
			return
		}
		if left := leftovers(env.WorkDir); left != "" {
			t.Errorf("processes outlived the script:\n%s", left)
		}
	})
	return nil
}

// logs are the last lines of every log in dir.
func logs(dir string) string {
	var b strings.Builder
	names, _ := filepath.Glob(filepath.Join(dir, "*.log")) // the pattern is well formed
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		list := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "-- end of %s --\n%s\n", filepath.Base(name), strings.Join(list[max(0, len(list)-40):], "\n"))
	}
	return b.String()
}

// leftovers waits for the processes that work in dir to go, ends those that do
// not, and returns their command lines.
func leftovers(dir string) string {
	var left map[int]string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pollLast) {
		if left = processesWith(dir + "/"); len(left) == 0 {
			return ""
		}
	}
	var b strings.Builder
	for pid, args := range left {
		fmt.Fprintf(&b, "%d %s\n", pid, args)
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by now
	}
	return b.String()
}

// processesWith lists the processes that have text in their arguments.
func processesWith(text string) map[int]string {
	list := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, file := range files {
		args, err := os.ReadFile(file)
		var pid int
		if err != nil || !bytes.Contains(args, []byte(text)) {
			continue
		}
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
			list[pid] = strings.ReplaceAll(string(args), "\x00", " ")
		}
	}
	return list
}
