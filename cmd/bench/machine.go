package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// machine is what the figures depend on.
type machine struct {
	when       time.Time
	processor  string
	cores      int
	kernel     string
	versions   []string
	watcher    string // what ours noticed changes with
	loadBefore string
	loadAfter  string
}

func lookAround(ctx context.Context, agent string) machine {
	m := machine{
		when: time.Now().UTC(), processor: processor(), cores: runtime.NumCPU(),
		kernel: firstLine("/proc/sys/kernel/osrelease"), loadBefore: load(),
	}
	for _, cmd := range [][]string{{agent, "version"}, {"rsync", "--version"}, {"lsyncd", "--version"}, {"inotifywait", "--help"}, {"go", "version"}} {
		if v := versionOf(ctx, cmd); v != "" {
			m.versions = append(m.versions, v)
		}
	}
	return m
}

// versionOf is the first line that a program prints about itself; inotifywait
// fails while it does so.
func versionOf(ctx context.Context, argv []string) string {
	if _, err := exec.LookPath(argv[0]); err != nil {
		return ""
	}
	out, _ := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	line = strings.Join(strings.Fields(line), " ")
	if rest, ok := strings.CutPrefix(line, "Version:"); ok {
		line = argv[0] + rest
	}
	return line
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	name := regexp.MustCompile(`^model name\s*:\s*(.+)$`)
	for s := bufio.NewScanner(f); s.Scan(); {
		if m := name.FindStringSubmatch(s.Text()); m != nil {
			return m[1]
		}
	}
	return runtime.GOARCH
}

// load is the average number of runnable processes in the last minute. Above
// the number of cores somebody else was at work, too.
func load() string {
	one, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return one
}

func firstLine(file string) string {
	b, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
