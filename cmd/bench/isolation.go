package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/status"
	"syncagent/rsyncd/badline"
)

const (
	isolationTargets = 10
	// isolationChanges are measured with all targets healthy, and as many with the
	// last one ill.
	isolationChanges = 25
	// illDisk is the file system of the slave that falls ill, in bytes.
	illDisk = 4 << 20
	// illChange keeps a slow line busy for all the time that is measured.
	illChange = 256 << 10
)

// illness is a state that one of ten targets may be in.
type illness struct {
	name string
	line badline.State
	fall func(r *rig, s slave) (heal func(), err error) // nil: the line is what is ill
	// fickle: it takes changes now and then, so that it need not be behind.
	fickle bool
}

func illnesses() []illness {
	return []illness{
		{name: "dead: connections are refused", line: badline.Dead},
		{name: "hangs after the connection is accepted", line: badline.Silent},
		{name: "slow: 1 KB/s", line: badline.Slow},
		{name: "flapping: up 1 s, down 1 s", line: badline.Flapping, fickle: true},
		{name: "refuses: max connections", line: badline.Crowded},
		{name: "wrong password", fall: otherPassword},
		{name: "disk full", fall: fillDisk},
		{name: "read-only file system", fall: readOnlyDisk},
	}
}

// isolation measures what one ill target of ten costs the nine others.
func isolation(ctx context.Context, env *environment) (curveResult, error) {
	res := curveResult{
		title: "Isolation",
		page:  "isolation.md",
		about: fmt.Sprintf("One of %d targets is ill. A file of 4 KiB is written %d times with all of them healthy and then, with the same agent, %d times with the last one ill; "+
			"what is shown is how long each of the %d others waits for it.", isolationTargets, isolationChanges, isolationChanges, isolationTargets-1),
		columns: []string{"the tenth is", "healthy p50, ms", "ill p50, ms", "ratio", "healthy p99, ms", "ill p99, ms", "ratio"},
	}
	var well, ill []float64
	for _, i := range illnesses() {
		a, b, err := withIll(ctx, env, i)
		if err != nil {
			return res, fmt.Errorf("%s: %w", i.name, err)
		}
		res.add(i.name, a, b)
		env.say("isolation  %-40s p50 %s -> %s ms, p99 %s -> %s ms", i.name, number(p50(a)), number(p50(b)), number(p99(a)), number(p99(b)))
		well, ill = append(well, a...), append(ill, b...)
	}
	res.add("all of them together", well, ill)
	return res, nil
}

// add makes a row of what was measured with all healthy and with one ill.
func (c *curveResult) add(label string, well, ill []float64) {
	c.labels = append(c.labels, label)
	c.rows = append(c.rows, []float64{p50(well), p50(ill), p50(ill) / p50(well), p99(well), p99(ill), p99(ill) / p99(well)})
}

// withIll returns what the healthy targets waited in milliseconds, before and
// after the last one fell ill.
func withIll(ctx context.Context, env *environment, i illness) (well, ill []float64, err error) {
	r, err := newRig(env, isolationTargets)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	last := r.slaves[isolationTargets-1]
	if i.fall != nil && isolated() {
		unmount, err := mountSmall(last.tree)
		if err != nil {
			return nil, nil, err
		}
		defer unmount()
	}
	line, err := badline.Listen(last.host, net.JoinHostPort(last.host, last.port))
	if err != nil {
		return nil, nil, err
	}
	defer line.Close()
	if err := liveOver(ctx, r, line); err != nil {
		return nil, nil, errors.Join(err, r.grumbles())
	}
	if well, err = healthyLatency(ctx, r, "well"); err != nil {
		return nil, nil, err
	}
	heal := func() {}
	if i.fall != nil {
		heal, err = i.fall(r, last)
	} else {
		err = line.Set(i.line)
	}
	if err != nil {
		return nil, nil, err
	}
	defer heal()
	if err := fallen(ctx, r, i); err != nil {
		return nil, nil, errors.Join(err, r.grumbles())
	}
	ill, err = healthyLatency(ctx, r, "ill")
	return well, ill, err
}

// liveOver launches ours with a line before the last slave.
func liveOver(ctx context.Context, r *rig, line *badline.Line) error {
	o := &ours{addr: func(i int, s slave) string {
		if i == isolationTargets-1 {
			return line.Addr
		}
		return net.JoinHostPort(s.host, s.port)
	}}
	if err := o.prepare(ctx, r); err != nil {
		return err
	}
	if err := o.launch(ctx, r); err != nil {
		return err
	}
	return awaitLive(ctx, r, o)
}

// fallen returns when the agent has found out that the last target is ill.
func fallen(ctx context.Context, r *rig, i illness) error {
	ctx, cancel := context.WithTimeout(ctx, r.bound)
	defer cancel()
	for n := 0; ; n++ {
		if err := os.WriteFile(r.at("told"), make([]byte, illChange+n), 0o644); err != nil {
			return err
		}
		if err := pause(ctx, 20*restPoll); err != nil {
			return fmt.Errorf("%w: nobody finds that the last target is ill", errNever)
		}
		snap, err := agentStatus(ctx, r)
		if err != nil {
			return err
		}
		if isIll(snap, i) {
			return nil
		}
	}
}

// isIll: all are idle but the last one, which is behind.
func isIll(snap status.Snapshot, i illness) bool {
	for _, m := range snap.Modules {
		for _, t := range m.Targets {
			last := t.Name == fmt.Sprintf("s%d", isolationTargets)
			if !last && t.Behind() || last && !i.fickle && !t.Behind() || last && i.fall != nil && t.Class == "" {
				return false
			}
		}
	}
	return true
}

// healthyLatency writes files and returns how long each slave but the last one
// waited for each, in milliseconds.
func healthyLatency(ctx context.Context, r *rig, name string) ([]float64, error) {
	var took []float64
	for i := range isolationChanges {
		if err := pause(ctx, latencyRest+rand.N(latencyRest)); err != nil {
			return nil, err
		}
		one, err := eachWaits(ctx, r, fmt.Sprintf("%s%05d", name, i))
		if err != nil {
			return nil, err
		}
		took = append(took, one...)
	}
	return took, nil
}

func eachWaits(ctx context.Context, r *rig, name string) ([]float64, error) {
	var took []float64
	waiting := slices.Clone(r.trees()[:isolationTargets-1])
	begin := time.Now()
	if err := os.WriteFile(r.at(name), make([]byte, latencySize), 0o644); err != nil {
		return nil, err
	}
	for len(waiting) > 0 {
		waiting = slices.DeleteFunc(waiting, func(tree string) bool {
			var st syscall.Stat_t
			if syscall.Lstat(filepath.Join(tree, name), &st) != nil || st.Size != latencySize {
				return false
			}
			took = append(took, float64(time.Since(begin).Microseconds())/1000)
			return true
		})
		if time.Since(begin) > r.bound {
			return nil, fmt.Errorf("%w: %s did not reach %s", errNever, name, strings.Join(waiting, ", "))
		}
		if err := pause(ctx, latencyPoll); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// mountSmall gives the slave that may fall ill a disk of its own.
func mountSmall(dir string) (unmount func(), err error) {
	if err := unix.Mount("bench", dir, "tmpfs", 0, fmt.Sprintf("mode=0755,size=%d", illDisk)); err != nil {
		return nil, fmt.Errorf("mount memory on %s: %w", dir, err)
	}
	return func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }, nil
}

func otherPassword(_ *rig, s slave) (func(), error) {
	return func() {}, os.WriteFile(filepath.Join(s.dir, "rsyncd.secrets"), []byte(user+":other\n"), 0o600)
}

// fillDisk takes all the room there is with a file that has no name.
func fillDisk(_ *rig, s slave) (func(), error) {
	if !isolated() {
		return nil, errors.New("a disk can be full only for root")
	}
	fd, err := unix.Open(s.tree, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fill disk: %w", err)
	}
	f := os.NewFile(uintptr(fd), s.tree)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		return nil, fmt.Errorf("fill disk: %w", err)
	}
	return func() { f.Close() }, nil
}

func readOnlyDisk(_ *rig, s slave) (func(), error) {
	if !isolated() {
		return nil, errors.New("a disk can be read-only only for root")
	}
	// Something may be written at this moment.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(restPoll) {
		err := unix.Mount("", s.tree, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		if err == nil || time.Now().After(end) {
			return func() {}, err
		}
	}
}
