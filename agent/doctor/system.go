package doctor

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/rsync"
)

// localSystem is this host, with the given rsync.
type localSystem struct{ rsync string }

// About implements System.
func (localSystem) About() (About, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return About{}, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	a := About{Kernel: unix.ByteSliceToString(u.Release[:]), Arch: runtime.GOARCH, UID: os.Geteuid(), Now: time.Now()}
	a.OS, a.Family = osRelease("/etc/os-release", "/usr/lib/os-release")
	return a, nil
}

// osRelease reads the first of the files that is there (os-release(5)).
func osRelease(files ...string) (name, family string) {
	for _, file := range files {
		if f, err := os.Open(file); err == nil {
			defer f.Close()
			return parseRelease(bufio.NewScanner(f))
		}
	}
	return "Linux", ""
}

func parseRelease(sc *bufio.Scanner) (name, family string) {
	values := map[string]string{}
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), "=")
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		values[key] = strings.Trim(value, "'")
	}
	name = cmp.Or(values["PRETTY_NAME"], values["NAME"], "Linux")
	return name, strings.TrimSpace(values["ID"] + " " + values["ID_LIKE"])
}

// errNoRsync is why there is no version to judge.
var errNoRsync = errors.New("rsync is not installed")

// Rsync implements System.
func (s localSystem) Rsync(ctx context.Context) (bin, version string, err error) {
	bin, err = exec.LookPath(s.rsync)
	if err != nil {
		return "", "", errNoRsync
	}
	version, err = rsync.Version(ctx, bin)
	return bin, version, err
}
