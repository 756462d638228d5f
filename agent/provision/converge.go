package provision

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// Converge brings the host to the wanted state and reports what it changed.
// Its order is: lock, read, validate, compare, stop here with Check, write,
// services. It stops at the first failure and when ctx ends; what is left over
// is done by the next call.
func Converge(ctx context.Context, sys System, want Desired, opt Options) Report {
	if opt.Service == "" || opt.Service == "auto" {
		opt.Service = DetectService(opt.Root)
	}
	if opt.Check {
		sys = ReadOnly(sys)
	}
	c := converger{sys: sys, want: want, opt: opt, rep: newReport(want, opt)}
	if err := c.run(ctx); err != nil {
		c.rep.Error = toProblem(err, "")
	}
	c.rep.finish()
	return c.rep
}

type converger struct {
	sys  System
	want Desired
	opt  Options
	rep  Report
	lock io.Closer // nil until held
}

func (c *converger) run(ctx context.Context) error {
	if err := sane(c.sys, c.want, c.opt); err != nil {
		return err
	}
	if err := c.takeLock(false); err != nil && !missing(err) {
		return err
	}
	defer c.unlock()
	if err := validate(c.want.files()); err != nil {
		return err
	}
	p, err := c.plan(ctx)
	if err != nil {
		return err
	}
	if c.opt.Check {
		c.reportAll(p)
		return nil
	}
	return c.carryOut(ctx, p)
}

// plan keeps the diffs of drift for the report, so that a user sees what
// Force would overwrite.
func (c *converger) plan(ctx context.Context) (*plan, error) {
	p, err := newPlan(ctx, c.sys, c.want, c.opt)
	if p != nil && err != nil && c.opt.Diff {
		c.rep.Diff = append(c.rep.Diff, p.drifts...)
	}
	return p, err
}

func (c *converger) reportAll(p *plan) {
	for _, s := range p.steps {
		c.done(s)
	}
	c.conclude(p)
}

// conclude reports what holds for a plan as a whole.
func (c *converger) conclude(p *plan) {
	c.rep.ReloadRequired, c.rep.RestartRequired = p.reload, p.restart
	c.rep.RestartReasons = p.reasons
	c.rep.Warnings = append(c.rep.Warnings, p.warnings...)
}

func (c *converger) done(s step) {
	if s.change.Kind == "" {
		return
	}
	c.rep.Changes = append(c.rep.Changes, s.change)
	if c.opt.Diff {
		c.rep.Diff = append(c.rep.Diff, s.diff...)
	}
}

// carryOut makes the state directory and takes the lock if there was none yet;
// another run may have come in between, so the rest is planned again.
func (c *converger) carryOut(ctx context.Context, p *plan) error {
	if c.lock == nil {
		if !p.writes() {
			c.conclude(p)
			return nil
		}
		if err := c.steps(ctx, p, func(s step) bool { return s.early }); err != nil {
			return err
		}
		if err := c.takeLock(true); err != nil {
			return err
		}
		var err error
		if p, err = c.plan(ctx); err != nil {
			return err
		}
	}
	c.conclude(p)
	return c.apply(ctx, p)
}

// apply records what it is about to write, writes, and records that it did.
// The lock is given back before services are told: one that brings its own
// files in order when it starts needs it, while we wait for it to be ready.
func (c *converger) apply(ctx context.Context, p *plan) error {
	if err := sweep(c.sys, p.sweep); err != nil {
		return err
	}
	intent := p.stored.intent(p.next)
	if err := c.save(p.stored, intent); err != nil {
		return err
	}
	if err := c.steps(ctx, p, func(s step) bool { return !s.late }); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.steps, func(s step) bool { return s.late }) {
		return c.save(intent, p.done)
	}
	if err := c.save(intent, p.next); err != nil {
		return err
	}
	c.unlock()
	if err := c.steps(ctx, p, func(s step) bool { return s.late }); err != nil {
		return err
	}
	return c.settle(ctx, p)
}

// settle records that the services had what they were owed.
func (c *converger) settle(ctx context.Context, p *plan) error {
	debts := p.next.Owed[c.opt.Service]
	if len(debts) == 0 {
		return nil
	}
	if err := c.waitLock(ctx); err != nil {
		c.rep.Warnings = append(c.rep.Warnings, "the next init restarts the services once more: "+oneLine(err))
		return nil
	}
	have, _, err := loadRecord(c.sys, c.opt.Root, c.want.StateDir)
	if err != nil {
		return err
	}
	return c.save(have, have.settled(c.opt.Service, debts))
}

func (c *converger) steps(ctx context.Context, p *plan, which func(step) bool) error {
	for _, s := range p.steps {
		if !which(s) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.do()
		if errors.As(err, new(doneError)) || err == nil {
			c.done(s)
		}
		if err != nil {
			return toProblem(err, s.change.Path)
		}
	}
	return nil
}

// save writes the record unless it is there already.
func (c *converger) save(have, want record) error {
	if have.equal(want) {
		return nil
	}
	name, err := onDisk(c.sys, c.opt.Root, filepath.Join(c.want.StateDir, recordName))
	if err != nil {
		return err
	}
	return replace(c.sys, name, want.encode(), Attr{Mode: 0o600, UID: -1, GID: -1})
}

// Another holder needs the lock for as long as it writes a few small files.
const (
	lockPatience = 10 * time.Second
	lockInterval = 20 * time.Millisecond
)

// waitLock takes the lock back.
func (c *converger) waitLock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		err := c.takeLock(true)
		if p := (*Problem)(nil); !errors.As(err, &p) || p.Code != CodeLocked {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockInterval):
		}
	}
}

func (c *converger) takeLock(create bool) error {
	name, err := onDisk(c.sys, c.opt.Root, filepath.Join(c.want.StateDir, lockName))
	if err != nil {
		return err
	}
	lock, err := c.sys.Lock(name, create)
	if errors.Is(err, ErrLocked) {
		return &Problem{
			Code: CodeLocked, Path: name,
			Message: name + " is held by another init",
			Hint:    "wait until it is done and try again",
		}
	}
	if err == nil {
		c.lock = lock
	}
	return err
}

func (c *converger) unlock() {
	if c.lock != nil {
		_ = c.lock.Close() // nothing was written through it
		c.lock = nil
	}
}
