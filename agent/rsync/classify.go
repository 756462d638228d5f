package rsync

import (
	"regexp"
	"strings"
)

// rule is one row of the table by which a failed run is judged. The first row
// whose code and text fit decides.
type rule struct {
	code  int    // 0: any
	text  string // regular expression; "": any
	class Class
	hint  string
}

const (
	hintPassword = "check the user and the password file against the slave's secrets file"
	hintRefused  = "run agent doctor; check the slave's module name, its allowed addresses and its log"
	hintModule   = "the module's directory, uid or gid is wrong on the slave: run agent init slave there"
	hintNotRsync = "something other than an rsync daemon answers there: check host and port"
	hintFull     = "free space or inodes, or raise the quota, on the slave"
	hintOptions  = "the slave's \"refuse options\" forbids what we need: run agent init slave there"
	hintMissing  = "install rsync 3.5.0, or at least 3.4.4, on the slave: older ones cannot delete listed paths"
	hintSource   = "the source directory is gone or replaced: bring it back"
	hintInstall  = "install rsync on this host"

	hintHostKey   = "ssh does not know the host: compare its key with \"ssh-keyscan HOST\" run on the slave itself, then add the line to known_hosts"
	hintHostNew   = "the host shows another key than before: if the slave was reinstalled, remove the old line with \"ssh-keygen -R HOST -f KNOWN_HOSTS\" and add the new key; if not, somebody stands between"
	hintSSHKey    = "check ssh.user and ssh.key_file, and that the public key stands in ~/.ssh/authorized_keys of that user on the slave"
	hintNoSSH     = "is the slave up, and does a firewall block ssh?"
	hintRsyncPeer = "install rsync on the slave, in the PATH of the user that ssh logs in as"
)

// Every row was recorded from rsync 3.5.0, or 3.4.3 for "invalid file mode".
var rules = compile([]rule{
	{0, `REMOTE HOST IDENTIFICATION HAS CHANGED`, Refused, hintHostNew},
	{0, `Host key verification failed|host key is known for `, Refused, hintHostKey},
	{0, `Permission denied \([a-z-]+(,[a-z-]+)*\)|Too many authentication failures`, Auth, hintSSHKey},
	{0, `Bad configuration option|Bad owner or permissions on .*ssh|bad permissions: `, Usage, "look at the options and files of ssh"},
	// Whether rsync ends with ssh's code 255 or its own 12 is a matter of time.
	{0, `ssh: connect to host .*: Connection refused`, Transient, "is the ssh server running on the slave, on this port?"},
	{0, `ssh: connect to host `, Transient, hintNoSSH},
	{0, `Could not resolve hostname`, Transient, "the slave's host name does not resolve"},
	{0, `auth failed on module`, Auth, hintPassword},
	{0, `password file must (not be other-accessible|be owned by root)`, Auth, "chmod 0600 the password file and let its user own it; without one the slave must not ask for a password"},
	{0, `could not (open|stat) password file`, Auth, "create the password file, readable for this user only"},
	{0, `max connections \(-?\d+\) reached`, Transient, "raise the slave's max connections if this lasts"},
	{0, `Unknown module|access denied to `, Refused, hintRefused},
	{0, `module is read only`, ReadOnly, "set read_only: false for the module on the slave"},
	{0, `module is write only`, Usage, ""},
	{0, `invalid file mode 00 for |refuse --delete-missing-args`, Incompatible, hintMissing},
	{0, `configured to refuse |Your options have been rejected`, Incompatible, hintOptions},
	{0, `rather than greeting|the server omitted the digest name list`, Incompatible, hintNotRsync},
	{0, `protocol version mismatch|is your shell clean`, Incompatible, hintNotRsync},
	{0, `chroot failed|chdir failed|invalid [ug]id|set[ug]id failed|no path setting|early exec failed`, Refused, hintModule},
	{0, `pre-xfer exec returned failure`, Transient, "the slave's own pre-transfer program said no: see its log"},
	{0, `failed to open lock file|did not see server greeting|didn't get server startup line`, Transient, "see the slave's rsync daemon log"},
	{11, `No space left on device|Disk quota exceeded`, DiskFull, hintFull},
	{11, `Read-only file system`, ReadOnly, "the slave's file system is mounted read-only"},
	{11, `\[Receiver\] mkdir .* failed`, Refused, "create the target's directory below the module on the slave"},
	{3, `\[Receiver\] change_dir`, Refused, "create the target's directory on the slave"},
	{3, `\[sender\] change_dir`, SourceGone, hintSource},
	{1, ``, Usage, "an argument in rsync.extra, bwlimit or compress is wrong"},
	{2, ``, Incompatible, hintNotRsync},
	{3, ``, SourceGone, hintSource},
	{4, ``, Incompatible, hintOptions},
	{5, ``, Refused, hintRefused},
	{10, `Connection refused`, Transient, "is the receiver running on the slave, on this port?"},
	{10, `Name or service not known|Temporary failure in name resolution`, Transient, "the slave's host name does not resolve"},
	{10, ``, Transient, "is the slave up, and does a firewall block the port?"},
	{11, ``, Transient, "input/output error: see the slave's kernel log"},
	{23, ``, Partial, ""},
	{24, ``, Partial, ""},
	{25, ``, Partial, "the limit of --max-delete was reached"},
	{30, ``, Transient, "the slave or the network hangs"},
	{35, ``, Transient, "the slave accepts connections but its rsync daemon does not answer"},
	{255, ``, Transient, hintNoSSH},
	{12, `command not found|: not found`, Incompatible, hintRsyncPeer},
	{127, `not found`, Incompatible, hintRsyncPeer},
	{126, ``, Incompatible, hintInstall},
	{127, ``, Incompatible, hintInstall},
})

type compiledRule struct {
	rule
	re *regexp.Regexp
}

func compile(rules []rule) []compiledRule {
	out := make([]compiledRule, len(rules))
	for i, r := range rules {
		out[i] = compiledRule{r, regexp.MustCompile(r.text)}
	}
	return out
}

// Classify judges a run by its exit code and what it wrote to standard error.
// It returns nil only for code 0 with nothing written. Code -1 stands for a
// process that was killed. What no row knows is transient: trying again is
// never wrong, only slow to tell.
func Classify(code int, stderr string) *Error {
	if code == 0 && strings.TrimSpace(stderr) == "" {
		return nil
	}
	e := &Error{Class: Transient, Code: code, Text: lastWords(stderr)}
	if code == 0 {
		e.Class = Partial
		return e
	}
	for _, r := range rules {
		if (r.code == 0 && code != 23 && code != 24 || r.code == code) && r.re.MatchString(stderr) {
			e.Class, e.Hint = r.class, r.hint
			return e
		}
	}
	return e
}

// lastWords joins the lines that say something. The closing "rsync error" line
// only repeats the code, and is kept when it is all there is.
func lastWords(stderr string) string {
	var words []string
	var summary string
	for line := range strings.Lines(stderr) {
		line = strings.TrimPrefix(printable(line, 400), "Password: ")
		switch {
		case line == "" || strings.HasPrefix(line, "*** "):
		case strings.HasPrefix(line, "rsync error: ") || strings.HasPrefix(line, "rsync warning: "):
			summary = line
		default:
			words = append(words, strings.TrimPrefix(line, "rsync: "))
		}
	}
	if len(words) == 0 {
		return strings.TrimPrefix(summary, "rsync error: ")
	}
	if n := len(words); n > 4 {
		words = append(words[:2:2], words[n-2:]...)
	}
	return printable(strings.Join(words, "; "), maxText)
}
