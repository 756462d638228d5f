package rsync

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var versionLine = regexp.MustCompile(`^rsync\s+version\s+v?(\d+(?:\.\d+)*\S*)`)

// Version asks the program bin ("" is rsync) for its version, e.g. "3.5.0".
func Version(ctx context.Context, bin string) (string, error) {
	if bin == "" {
		bin = "rsync"
	}
	out := &tail{max: maxText}
	cmd := exec.CommandContext(ctx, bin, "--version")
	cmd.Stdout, cmd.Env, cmd.WaitDelay = out, environ(), time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", bin, err)
	}
	m := versionLine.FindStringSubmatch(out.head())
	if m == nil {
		return "", fmt.Errorf("ask %s for its version: the answer is not rsync's; install rsync", bin)
	}
	return m[1], nil
}

// Older reports whether version a is before b. Numbers are compared one by
// one, a missing one counts as 0; a suffix like pre1 makes a version older
// than the plain one.
func Older(a, b string) bool {
	na, sa := splitVersion(a)
	nb, sb := splitVersion(b)
	for i := range max(len(na), len(nb)) {
		if x, y := at(na, i), at(nb, i); x != y {
			return x < y
		}
	}
	return sa != "" && (sb == "" || sa < sb)
}

func at(n []int, i int) int {
	if i < len(n) {
		return n[i]
	}
	return 0
}

// splitVersion returns the leading numbers and what follows them.
func splitVersion(v string) (numbers []int, suffix string) {
	v = strings.TrimPrefix(v, "v")
	for {
		end := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(v)
		}
		n, err := strconv.Atoi(v[:end])
		if err != nil {
			return numbers, v
		}
		numbers = append(numbers, n)
		if end == len(v) || v[end] != '.' {
			return numbers, v[end:]
		}
		v = v[end+1:]
	}
}
