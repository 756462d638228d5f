package rsyncdtest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Lacks skips a test that this machine cannot run for want of something, unless
// MustRun says that it has to.
func Lacks(t testing.TB, what string, err error) {
	t.Helper()
	if MustRun(what) {
		t.Fatal(err)
	}
	t.Skipf("%v; AGENT_TEST_MUST_RUN=%s makes this a failure", err, what)
}

// MustRun reports whether tests may not be skipped for want of something, which
// AGENT_TEST_MUST_RUN names, among others, separated by commas.
func MustRun(what string) bool {
	return slices.Contains(strings.Split(os.Getenv("AGENT_TEST_MUST_RUN"), ","), what)
}
