package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands are the checks, and what else scripts can do.
func commands() map[string]command {
	list := map[string]command{
		"eventually": cmdEventually,
		"freeport":   positive(cmdFreePort),
		"slave":      positive(cmdSlave),
		"master":     positive(cmdMaster),
		"write":      positive(cmdWrite),
		"append":     positive(cmdAppend),
		"replace":    positive(cmdReplace),
		"fill":       positive(cmdFill),
		"ready":      positive(cmdReady),
		"signal":     positive(cmdSignal),
		"pid":        positive(cmdPID),
		"snapshot":   positive(cmdSnapshot),
		"inode":      positive(cmdInode),
		"golden":     positive(cmdGolden),
	}
	for name, c := range checks() {
		list[name] = once(c)
	}
	return list
}

// positive is a command that cannot be negated.
func positive(do func(ts *testscript.TestScript, args []string) error) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("! makes no sense here")
		}
		ts.Check(do(ts, args))
	}
}

// lastPort is the port given out last: below the range that connections are
// made from, so that none of them takes a port between its choice and its use.
var lastPort atomic.Int32

func freePorts() (string, error) {
	first := 15000 + int32(os.Getpid())*41%14000
	lastPort.CompareAndSwap(0, first)
	for range 1000 {
		port := strconv.Itoa(int(lastPort.Add(1)))
		l, err := net.Listen("tcp", ":"+port)
		if err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("no port is free above %d", first)
}

func cmdFreePort(ts *testscript.TestScript, args []string) error {
	for _, name := range args {
		port, err := freePorts()
		if err != nil {
			return err
		}
		ts.Setenv(name, port)
	}
	return need(args, 1, -1, "freeport VAR...")
}

// password makes the file that slave and master share.
func password(ts *testscript.TestScript) (string, error) {
	file := ts.MkAbs("pass")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	return file, os.WriteFile(file, []byte("s3cret-of-the-scripts\n"), 0o600)
}

func cmdSlave(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, -1, "slave NAME MODULE..."); err != nil {
		return err
	}
	name := args[0]
	if err := cmdFreePort(ts, []string{name + "_port"}); err != nil {
		return err
	}
	pass, err := password(ts)
	if err != nil {
		return err
	}
	argv := []string{
		"init", "slave", "--dir", ts.MkAbs(name), "--user", "repl", "--password-file", pass,
		"--allow", "127.0.0.1", "--port", ts.Getenv(name + "_port"),
	}
	return ts.Exec("agent", append(argv, moduleFlags(ts, name, args[1:])...)...)
}

func moduleFlags(ts *testscript.TestScript, instance string, modules []string) []string {
	var argv []string
	for _, m := range modules {
		argv = append(argv, "--module", m+"="+ts.MkAbs(filepath.Join(instance, m)))
	}
	return argv
}

func cmdMaster(ts *testscript.TestScript, args []string) error {
	to := slices.Index(args, "to")
	if to < 2 || to == len(args)-1 {
		return misuse{"usage: master NAME MODULE... to SLAVE..."}
	}
	name, modules, slaves := args[0], args[1:to], args[to+1:]
	pass, err := password(ts)
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := os.MkdirAll(ts.MkAbs(filepath.Join(name, m)), 0o755); err != nil {
			return err
		}
	}
	argv := []string{"init", "master", "--dir", ts.MkAbs(name), "--user", "repl", "--password-file", pass}
	for _, s := range slaves {
		argv = append(argv, "--target", s+"=127.0.0.1:"+ts.Getenv(s+"_port"))
	}
	return ts.Exec("agent", append(argv, moduleFlags(ts, name, modules)...)...)
}

func cmdWrite(ts *testscript.TestScript, args []string) error {
	return lined(ts, args, os.O_TRUNC)
}

func cmdAppend(ts *testscript.TestScript, args []string) error {
	return lined(ts, args, os.O_APPEND)
}

func lined(ts *testscript.TestScript, args []string, flag int) error {
	if err := need(args, 1, -1, "write|append FILE TEXT..."); err != nil {
		return err
	}
	name := ts.MkAbs(args[0])
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flag, 0o644)
	if err != nil {
		return err
	}
	for _, line := range args[1:] {
		fmt.Fprintln(f, line)
	}
	return f.Close()
}

func cmdReplace(ts *testscript.TestScript, args []string) error {
	if err := need(args, 3, 3, "replace FILE OLD NEW"); err != nil {
		return err
	}
	name := ts.MkAbs(args[0])
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), args[1]); n != 1 {
		return fmt.Errorf("%q stands %d times in %s:\n%s", args[1], n, args[0], text)
	}
	return os.WriteFile(name, []byte(strings.Replace(string(text), args[1], args[2], 1)), 0o644)
}

func cmdFill(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "fill DIR N"); err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for i := range n {
		name := fmt.Sprintf("f%04d", i+1)
		if err := cmdWrite(ts, []string{filepath.Join(args[0], name), "this is " + name}); err != nil {
			return err
		}
	}
	return nil
}

func cmdReady(ts *testscript.TestScript, args []string) error {
	for _, name := range args {
		p, err := started(ts, name)
		if err != nil {
			return err
		}
		poll(ts, isReady(name, p.Pid), false, nil)
	}
	return need(args, 1, -1, "ready NAME...")
}

// isReady asks whether a daemon says that it is ready, in vain when it ended.
func isReady(name string, pid int) check {
	return func(ts *testscript.TestScript, _ []string) error {
		err := checkHas(ts, []string{name + ".log", "msg=ready"})
		if _, gone := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil && gone != nil {
			return misuse{name + " ended"}
		}
		return err
	}
}

// started finds the process that was started with "logged NAME".
func started(ts *testscript.TestScript, name string) (*os.Process, error) {
	for _, cmd := range ts.BackgroundCmds() {
		if len(cmd.Args) > 2 && filepath.Base(cmd.Args[0]) == "logged" && cmd.Args[1] == name {
			return cmd.Process, nil
		}
	}
	return nil, fmt.Errorf("nothing was started with \"logged %s\"", name)
}

func cmdSignal(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "signal SIG NAME"); err != nil {
		return err
	}
	number := unix.SignalNum("SIG" + args[0])
	if number == 0 {
		return fmt.Errorf("there is no signal %s", args[0])
	}
	p, err := started(ts, args[1])
	if err != nil {
		return err
	}
	return p.Signal(number)
}

func cmdPID(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "pid VAR NAME"); err != nil {
		return err
	}
	p, err := started(ts, args[1])
	if err != nil {
		return err
	}
	ts.Setenv(args[0], strconv.Itoa(p.Pid))
	return nil
}

func cmdSnapshot(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, -1, "snapshot FILE PATH..."); err != nil {
		return err
	}
	var b bytes.Buffer
	for _, root := range args[1:] {
		err := filepath.WalkDir(ts.MkAbs(root), func(name string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return describe(&b, name)
		})
		if err != nil {
			return err
		}
	}
	return os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644)
}

func describe(b *bytes.Buffer, name string) error {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	fmt.Fprintf(b, "%s inode %d mode %o owner %d:%d size %d mtime %d.%09d ctime %d.%09d", name, st.Ino, st.Mode,
		st.Uid, st.Gid, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
	if st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, " sum %x", sha256.Sum256(data))
	}
	b.WriteByte('\n')
	return nil
}

func cmdInode(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "inode VAR FILE"); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(ts.MkAbs(args[1]), &st); err != nil {
		return fmt.Errorf("stat %s: %w", args[1], err)
	}
	ts.Setenv(args[0], strconv.FormatUint(st.Ino, 10))
	return nil
}

func cmdGolden(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "golden FILE NAME"); err != nil {
		return err
	}
	got := []byte(ts.ReadFile(args[0]))
	name := filepath.Join("..", "..", "testdata", "golden", args[1])
	if *update {
		return os.WriteFile(name, got, 0o644)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is not as %s (-update writes it):\n%s", args[0], name, got)
	}
	return nil
}
