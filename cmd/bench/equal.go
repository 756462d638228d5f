package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"syncagent/agent/manifest"
)

// errNever is wrapped when the slaves did not become equal in time.
var errNever = errors.New("never equal")

const (
	cursorPoll = time.Millisecond
	fullPoll   = 100 * time.Millisecond
)

// cursor waits for one slave to have everything of a tree that has come to
// rest.
type cursor struct {
	source, slave string
	want          manifest.Manifest // without content
	gone          []string          // paths that must not be there
}

// run returns when every entry was found equal once.
func (c *cursor) run(ctx context.Context) (time.Time, error) {
	for i := 0; i < len(c.want); {
		if !c.same(c.want[i]) {
			if err := pause(ctx, cursorPoll); err != nil {
				return time.Time{}, fmt.Errorf("%w: %q is not there", errNever, c.want[i].Path)
			}
			continue
		}
		i++
	}
	for i := 0; i < len(c.gone); {
		if _, err := os.Lstat(filepath.Join(c.slave, c.gone[i])); err == nil {
			if err := pause(ctx, cursorPoll); err != nil {
				return time.Time{}, fmt.Errorf("%w: %q is still there", errNever, c.gone[i])
			}
			continue
		}
		i++
	}
	return time.Now(), nil
}

// same trusts equal size and time for now: all bytes are read at the end.
func (c *cursor) same(e manifest.Entry) bool {
	path := filepath.Join(c.slave, e.Path)
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	st := info.Sys().(*syscall.Stat_t)
	switch e.Type {
	case manifest.File:
		return info.Mode().IsRegular() && info.Size() == e.Size && st.Mode&0o7777 == e.Mode &&
			(info.ModTime().UnixNano() == e.MtimeNs || sameBytes(filepath.Join(c.source, e.Path), path))
	case manifest.Dir:
		return info.IsDir() && st.Mode&0o7777 == e.Mode
	}
	return info.Mode().Type() != 0 && info.Mode().Type() != fs.ModeDir
}

func sameBytes(a, b string) bool {
	x, errA := os.ReadFile(a)
	y, errB := os.ReadFile(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// awaitEqual returns the moment at which all slaves were equal to the source,
// which must have come to rest. The error wraps errNever when that took longer
// than ctx.
func awaitEqual(ctx context.Context, source string, slaves, gone []string) (time.Time, error) {
	want, err := manifest.Read(source, manifest.Options{})
	if err != nil {
		return time.Time{}, err
	}
	ends := make([]time.Time, len(slaves))
	g, inner := errgroup.WithContext(ctx)
	for i, slave := range slaves {
		c := cursor{source, slave, want, gone}
		g.Go(func() (err error) {
			ends[i], err = c.run(inner)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return time.Time{}, err
	}
	return confirm(ctx, source, slaves, latest(ends))
}

func latest(times []time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// confirm compares everything. When something differs the moment at which it
// does no more takes the place of end.
func confirm(ctx context.Context, source string, slaves []string, end time.Time) (time.Time, error) {
	for {
		err := compareAll(source, slaves)
		if err == nil {
			return end, nil
		}
		if waited := pause(ctx, fullPoll); waited != nil {
			return end, fmt.Errorf("%w: %w", errNever, err)
		}
		end = time.Now()
	}
}

// compareAll looks at names and sizes first, since reading all bytes takes
// long.
func compareAll(source string, slaves []string) error {
	for _, content := range []bool{false, true} {
		want, err := readTree(source, content)
		if err != nil {
			return err
		}
		var g errgroup.Group
		for _, slave := range slaves {
			g.Go(func() error { return compareTo(want, slave, content) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func compareTo(want manifest.Manifest, slave string, content bool) error {
	got, err := readTree(slave, content)
	if err != nil {
		return err
	}
	if d := manifest.Diff(want, got); len(d) > 0 {
		return fmt.Errorf("%d differences in %s, the first is %v", len(d), filepath.Base(slave), d[0])
	}
	return nil
}

// readTree reads what counts.
func readTree(dir string, content bool) (manifest.Manifest, error) {
	m, err := manifest.Read(dir, manifest.Options{Content: content, Owners: os.Geteuid() == 0, Vanishing: true})
	for i := range m {
		m[i].MtimeNs = 0
	}
	return m, err
}

// pause sleeps unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
