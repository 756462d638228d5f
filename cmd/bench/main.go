package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if self, err := os.Executable(); err == nil && filepath.Base(self) == stubName {
		os.Exit(stub(filepath.Dir(self), os.Args[1:], os.Stdin, os.Stdout))
	}
	opt, err := parseOptions(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: the source shares a file system with the slaves:", err)
	}
	// A reader of our output that is gone must not keep us from cleaning up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	if err := withEnvironment(ctx, opt, bench); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench measures what was asked for and writes the report. It fails when ours
// was never equal: then its other figures mean nothing.
func bench(ctx context.Context, env *environment) error {
	list, missing, err := presentKinds(env.opt.sides)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		env.say("left out, not installed: %s", strings.Join(missing, ", "))
	}
	if err := env.keepAgent(ctx); err != nil {
		return err
	}
	env.machine = lookAround(ctx, env.opt.agent)
	res := newResults(list, missing)
	if err := measureAll(ctx, env, list, res); err != nil {
		return err
	}
	if err := measureCurves(ctx, env, res); err != nil {
		return err
	}
	env.machine.loadAfter = load()
	if err := report(env, res); err != nil {
		return err
	}
	return res.verdict()
}
