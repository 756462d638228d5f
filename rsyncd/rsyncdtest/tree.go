package rsyncdtest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"syncagent/agent/manifest"
)

// maxDifferences is how many a message shows.
const maxDifferences = 20

// munged is what a daemon without chroot puts before the targets of links.
const munged = "/rsyncd-munged/"

// Equal compares a source with its copy by type, mode, owner, size, time, link
// target and every byte; the error names what differs in the copy b. Tests
// that do not run as root cannot keep owners, and have links munged: then
// these are not compared, and taken for what they stand for.
func Equal(a, b string) error {
	root := os.Geteuid() == 0
	opt := manifest.Everything()
	opt.Owners = root
	want, err := manifest.Read(a, opt)
	if err != nil {
		return err
	}
	got, err := manifest.Read(b, opt)
	if err != nil {
		return err
	}
	for i := range got {
		if !root {
			got[i].Link = strings.TrimPrefix(got[i].Link, munged)
		}
	}
	diff := manifest.Diff(want, got)
	if len(diff) == 0 {
		return nil
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s and %s differ in %d of %d entries:", a, b, len(diff), len(want))
	for i, d := range diff {
		if i == maxDifferences {
			s.WriteString("\n\t...")
			break
		}
		s.WriteString("\n\t" + d.String())
	}
	return errors.New(s.String())
}

// SameTree fails the test if b differs from a.
func SameTree(t testing.TB, a, b string) {
	t.Helper()
	if err := Equal(a, b); err != nil {
		t.Fatal(err)
	}
}

// Eventually polls until check returns nil, and fails the test with its last
// error when that takes too long.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", timeout, err)
		}
		time.Sleep(wait)
	}
}
