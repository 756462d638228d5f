package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manifest is all that was ever written on a host, but for what the system and
// ssh write themselves, and what rsync replicates.
func manifest(t *testing.T, h string) string {
	t.Helper()
	prune := regexp.MustCompile(`^(var/log|run|tmp|var/tmp|var/lib/systemd|var/lib/dpkg|var/cache|var/lib/apt|home|root|www|etc/machine-id|etc/\.updated|var/\.updated|var/lib/private|var/lib/syncagent/(rsyncd\.(log|pid|lock)|journal|.*\.children|receiver\.lock))(/|$)`)
	var b strings.Builder
	top := upper(h)
	must(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		rel, _ := filepath.Rel(top, path) // path is below top
		if prune.MatchString(rel) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if d.IsDir() { // its time changes with temporary files of others
			fmt.Fprintf(&b, "%v %s\n", info.Mode(), rel)
			return nil
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%v %d %d %d %s %s\n", info.Mode(), st.Uid, st.Gid, info.Size(), info.ModTime().Format(time.RFC3339Nano), rel)
		return nil
	}))
	return b.String()
}

func manifests(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, h := range hostOf {
		all[name] = manifest(t, h)
	}
	return all
}

// untouched fails when a host's manifest is another than before.
func untouched(t *testing.T, before map[string]string, names ...string) {
	t.Helper()
	after := manifests(t)
	for name := range hostOf {
		if len(names) > 0 && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
			continue
		}
		if before[name] != after[name] {
			t.Errorf("%s was written to:\n%s", name, delta(before[name], after[name]))
		}
	}
}

// delta are the lines that stand in one of both.
func delta(a, b string) string {
	var out strings.Builder
	for _, side := range []struct{ mark, has, not string }{{"-", a, b}, {"+", b, a}} {
		for line := range strings.Lines(side.has) {
			if !strings.Contains("\n"+side.not, "\n"+line) {
				out.WriteString(side.mark + line)
			}
		}
	}
	return out.String()
}

// pids are the main processes of the services.
func pids(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"m1", "s1", "s2", "s3"} {
		unit := "syncagent-receiver"
		if name == "m1" {
			unit = "syncagent"
		}
		b.WriteString(name + " " + onHost(t, name, "systemctl", "show", "--property=MainPID,ActiveState", unit) + "\n")
		if name != "m1" {
			b.WriteString(onHost(t, name, "cat", "/var/lib/syncagent/rsyncd.pid") + "\n")
		}
	}
	return b.String()
}
