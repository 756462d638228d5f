package rsync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"syncagent/agent/tree"
)

// sourceFD is the descriptor of the source root in the child: the first of
// exec.Cmd.ExtraFiles.
const sourceFD = 3

// sourceArg lets rsync read the very directory that was opened, whatever its
// path leads to by now. /proc/self is rsync itself; a sending rsync does not
// fork before it enters the directory.
var sourceArg = fmt.Sprintf("/proc/self/fd/%d/", sourceFD)

// outFormat starts with eleven characters of fixed width and ends in a number,
// so that a name may hold the separator.
const outFormat = "--out-format=%i|%n|%l"

// BackupLayout is how a folder of backups is named, in UTC, as time.Format takes
// it. An hour is long enough to find a removal in one place, and short enough for
// the last good version to outlive what is written over it in the end.
const BackupLayout = "2006-01-02T15Z"

// mode is what differs between the runs.
type mode struct {
	dry       bool
	again     bool // -I: do not trust size and mtime
	gone      bool // delete what is listed and missing
	force     bool // a directory may make way for something else
	deep      bool // recurse, filters apply
	extras    bool // with deep and dry only: list what is extra
	checksum  bool
	maxDelete int
	bulk      bool   // takes long: a connection of its own
	leave     string // filter rules, each ended by a NUL
	seed      Seed   // not zero: below its To, with links to its From
}

// args returns the argument list. Extra stands first: of two options that
// contradict each other the later one counts, which is ours.
func (c *Client) args(m mode) []string {
	o := c.cfg.Options
	args := slices.Clone(o.Extra)
	args = append(args, "-a", "-ii", "--modify-window=-1", "--files-from=-", "--from0", outFormat, "--timeout="+seconds(c.timeout(m)))
	args = append(args, c.connection()...)
	args = append(args, o.args()...)
	for _, f := range []struct {
		on  bool
		arg string
	}{
		{m.dry, "-n"},
		{m.again, "-I"},
		{m.checksum, "-c"},
		{m.force, "--force"},
		{m.gone, "--delete-missing-args"},
		{m.deep, "-r"},
		{m.deep && m.dry && m.extras, "--delete"},
	} {
		if f.on {
			args = append(args, f.arg)
		}
	}
	if m.maxDelete > 0 {
		args = append(args, "--max-delete="+strconv.Itoa(m.maxDelete))
	}
	if o.BackupDir != "" && !m.dry {
		args = append(args, "--backup", "--backup-dir="+o.BackupDir+"/"+time.Now().UTC().Format(BackupLayout))
	}
	if m.deep {
		args = append(args, filterArgs(strings.FieldsFunc(m.leave, isNUL))...)
		args = append(args, filterArgs(o.Filter)...)
	}
	dest := c.cfg.Dest
	if m.seed != (Seed{}) {
		args = append(args, "--link-dest="+m.seed.linkDest())
		dest = dest.at(m.seed.To)
	}
	return append(args, sourceArg, dest.arg())
}

func (o Options) args() []string {
	var args []string
	if o.Compress != "" && o.Compress != "none" {
		args = append(args, "--compress", "--compress-choice="+o.Compress)
	}
	if o.Bwlimit != "" {
		args = append(args, "--bwlimit="+o.Bwlimit)
	}
	for _, f := range []struct {
		on  bool
		arg string
	}{
		{o.Xattrs, "--xattrs"}, {o.ACLs, "--acls"}, {o.HardLinks, "--hard-links"}, {o.NumericIDs, "--numeric-ids"},
	} {
		if f.on {
			args = append(args, f.arg)
		}
	}
	return args
}

func filterArgs(rules []string) []string {
	args := make([]string, 0, len(rules))
	for _, r := range rules {
		if !strings.HasPrefix(r, "--filter=") {
			r = "--filter=" + r
		}
		args = append(args, r)
	}
	return args
}

func isNUL(r rune) bool { return r == 0 }

// leaveRules are filter rules that pass over exactly the paths.
func leaveRules(paths []tree.Path) string {
	var b strings.Builder
	for _, p := range paths {
		b.WriteString("- /" + string(p) + "\x00")
	}
	return b.String()
}

// CanLeave reports whether Batch.Leave can name p: nothing in it may mean more than
// itself in a filter rule.
func CanLeave(p tree.Path) bool {
	return p != tree.Root && !strings.ContainsFunc(string(p), unicode.IsControl) && !strings.ContainsAny(string(p), `*?[]\\`) && !strings.HasSuffix(string(p), " ")
}

// passwordFile never leaves the option out: rsync would ask the terminal for a
// password.
func (c *Client) passwordFile() string {
	if f := c.cfg.Dest.PasswordFile; f != "" {
		return f
	}
	return "/dev/null"
}

// checksumPatience stretches the time limits of a run with --checksum, in
// which either side may read a large file without a word.
const checksumPatience = 20

func (c *Client) timeout(m mode) time.Duration {
	if m.checksum {
		return c.cfg.Options.Timeout * checksumPatience
	}
	return c.cfg.Options.Timeout
}

func (c *Client) stall(m mode) time.Duration {
	if m.checksum {
		return c.cfg.Options.Stall * checksumPatience
	}
	return c.cfg.Options.Stall
}

// seconds rounds up: rsync takes 0 as no limit.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
