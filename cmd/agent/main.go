// Command agent keeps directory trees on many slaves identical to the
// master's, in real time, over rsync. It is both ends: "agent init" brings a
// host to the wanted state, "agent run" is the master, "agent receiver" the
// slave.
//
// This package owns flags, environment, signals, exit codes and everything that
// is printed. It must not decide what is replicated or deleted.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is shown by "agent version" and in reports.
const version = "1.0.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are where a command reads and writes: results go to out, logs,
// progress and errors to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func run(ctx context.Context, args []string, s streams) int {
	a := newApp(s)
	cmd := a.command()
	cmd.SetArgs(args)
	cmd.SetIn(s.in)
	cmd.SetOut(s.out)
	cmd.SetErr(s.err)
	return a.exitCode(cmd.ExecuteContext(ctx))
}
