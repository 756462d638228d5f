package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"syncagent/agent/proc"
)

// actor is one of the demo's three hosts.
type actor struct {
	name, dir, verb, config, log string
}

func (s *stage) newActor(name, verb, config string) *actor {
	dir := filepath.Join(s.dir, name)
	return &actor{name: name, dir: dir, verb: verb, config: filepath.Join(dir, config), log: filepath.Join(dir, verb+".log")}
}

// tree is where the actor has a module.
func (a *actor) tree(module string) string { return filepath.Join(a.dir, "data", module) }

// start launches the actor's daemon and waits until it says that it is ready.
func (a *actor) start(ctx context.Context, exe string, spawner *proc.Spawner) error {
	log, err := os.Create(a.log)
	if err != nil {
		return fmt.Errorf("make log of %s: %w", a.name, err)
	}
	defer log.Close()
	cmd := exec.Command(exe, a.verb, "--config", a.config)
	cmd.Stdout, cmd.Stderr = log, log
	child, err := spawner.Start(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", a.name, err)
	}
	err = eventually(ctx, 30*time.Second, 5*time.Millisecond, func() error {
		select {
		case <-child.Done():
			return gaveUp{fmt.Errorf("agent %s ended: %w", a.verb, child.Wait())}
		default:
		}
		if text, err := os.ReadFile(a.log); err != nil || !strings.Contains(string(text), "msg=ready") {
			return errors.New("not ready")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", a.name, err, a.lastLines())
	}
	return nil
}

func (a *actor) lastLines() string {
	text, err := os.ReadFile(a.log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// gaveUp is an error that waiting does not mend.
type gaveUp struct{ error }

// eventually asks until the answer is nil, and returns the last one after the
// given time.
func eventually(ctx context.Context, within, every time.Duration, ask func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	end := time.Now().Add(within)
	for {
		err := ask()
		if err == nil || errors.As(err, new(gaveUp)) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// freePort finds a port nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

func since(t time.Time) string {
	d := time.Since(t)
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
