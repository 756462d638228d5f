package config

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"syncagent/secrets"
)

// check looks at a text and returns its canonical form.
type check func(text string) (string, *problem)

// enum takes one of the allowed words; when one of them means "nothing", false
// and off are other names of it.
func enum(nothing string, allowed ...string) check {
	return func(text string) (string, *problem) {
		for _, word := range allowed {
			if text == word {
				return word, nil
			}
		}
		if nothing != "" && isOff(text) {
			return nothing, nil
		}
		return "", &problem{quote(text) + " is not known here", "write " + orList(allowed)}
	}
}

func orList(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// isOn and isOff know the words of YAML 1.1 beside those of 1.2.
func isOn(text string) bool  { return oneOf(text, "true", "on", "yes") }
func isOff(text string) bool { return oneOf(text, "false", "off", "no") }

func oneOf(text string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(text, w) {
			return true
		}
	}
	return false
}

// anyText takes every text of one line.
func anyText(text string) (string, *problem) {
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		return "", &problem{quote(text) + " holds a control character", "write one line of printable text"}
	}
	return text, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// absolute takes an absolute path and cleans it. ".." is refused: what it means
// depends on symlinks.
func absolute(text string) (string, *problem) {
	if _, bad := anyText(text); bad != nil {
		return "", bad
	}
	switch {
	case text == "":
		return "", &problem{"no path", "write an absolute path"}
	case text[0] != '/':
		return "", &problem{"relative path " + quote(text), "write an absolute path"}
	case hasPart(text, ".."):
		return "", &problem{quote(text) + ` holds ".."`, "write the path without it"}
	case len(text) > 4000:
		return "", &problem{"the path has " + strconv.Itoa(len(text)) + " bytes", "rsync takes 4000"}
	}
	return path.Clean(text), nil
}

func hasPart(text, part string) bool {
	for p := range strings.SplitSeq(text, "/") {
		if p == part {
			return true
		}
	}
	return false
}

// socketPath is bounded by sun_path of unix(7): 108 bytes with its NUL.
func socketPath(text string) (string, *problem) {
	const most = 107
	text, bad := absolute(text)
	if bad == nil && len(text) > most {
		return "", &problem{fmt.Sprintf("the path has %d bytes", len(text)), fmt.Sprintf("a unix socket takes %d, choose a shorter one", most)}
	}
	return text, bad
}

// dataPath is the root of a tree.
func dataPath(text string) (string, *problem) {
	text, bad := absolute(text)
	if text == "/" {
		return "", &problem{"the whole file system cannot be a module", "name a directory below it"}
	}
	return text, bad
}

// servedPath is a tree that rsyncd.conf names and masters overwrite.
func servedPath(text string) (string, *problem) {
	text, bad := dataPath(text)
	switch {
	case bad != nil:
		return "", bad
	case strings.ContainsAny(text, "%") || strings.HasSuffix(text, `\`) || strings.TrimSpace(text) != text:
		return "", &problem{quote(text) + " cannot stand in rsyncd.conf", `take a path without "%", and without a blank or backslash at its end`}
	case oneOf(text, "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var"):
		return "", &problem{"a master would replace what is in " + text, "name a directory below it"}
	}
	return text, nil
}

// remoteDir is a directory below a remote module's root, or by ssh any.
func remoteDir(text string) (string, *problem) {
	if _, bad := anyText(text); bad != nil || text == "" {
		return "", bad
	}
	clean := strings.Trim(path.Clean("/"+text), "/")
	if path.IsAbs(text) && clean != "" {
		clean = "/" + clean
	}
	switch {
	case hasPart(text, ".."):
		return "", &problem{quote(text) + ` holds ".."`, "write the path below the remote module without it"}
	case text != clean:
		return "", &problem{quote(text) + " is not a path below the remote module", "write " + quote(clean)}
	}
	return text, nil
}

// backupDir is a folder in a tree; what is in it must be said by a filter rule
// without wildcards.
func backupDir(text string) (string, *problem) {
	text, bad := remoteDir(text)
	if bad != nil || text == "" {
		return text, bad
	}
	if !madeOf(text, "._-/") || text[0] == '-' {
		return "", &problem{quote(text) + " cannot be the folder of backups", "take letters, digits, dots, dashes and underscores, as in .trash"}
	}
	return text, nil
}

// checkName is the charset of modules and targets: names become rsync modules
// and files of the state.
func checkName(name string) *problem {
	const most = 64
	ok := len(name) <= most && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "-") &&
		madeOf(name, "._-")
	switch {
	case !ok:
		return &problem{"name " + quote(name) + " cannot be used", "take 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter, digit or _"}
	case strings.EqualFold(name, "global"):
		return &problem{"name " + quote(name) + " is rsyncd.conf's word for its global part", "take another"}
	}
	return nil
}

func moduleName(text string) (string, *problem) { return text, checkName(text) }

// checkTarget keeps the word that means every target free.
func checkTarget(name string) *problem {
	if name == "all" {
		return &problem{`name "all" means every target`, "take another"}
	}
	return checkName(name)
}

func userName(text string) (string, *problem) {
	if err := secrets.CheckUser(text); err != nil {
		return "", &problem{err.Error(), "take letters and digits"}
	}
	return text, nil
}

// account is a local user or group, by name or number.
func account(text string) (string, *problem) {
	if !madeOf(text, "_.@$-") || text[0] == '-' || len(text) > 64 {
		return "", &problem{quote(text) + " is no account", "write a name or a number"}
	}
	return text, nil
}

// hostName is a name or an address without port.
func hostName(text string) (string, *problem) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.String(), nil
	}
	if strings.Contains(text, ":") {
		return "", &problem{quote(text) + " is no host name or address", "the port has a key of its own: port"}
	}
	if !madeOf(text, "._-") || text[0] == '-' || len(text) > 253 {
		return "", &problem{quote(text) + " is no host name or address", "write one, as in 192.168.1.168"}
	}
	return text, nil
}

// bindAddress is an IP address or "" for all of them.
func bindAddress(text string) (string, *problem) {
	if text == "" {
		return "", nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return "", &problem{quote(text) + " is no IP address", `write one of this host's, or "" for all`}
	}
	return addr.String(), nil
}

// listenAddress is host:port or "".
func listenAddress(text string) (string, *problem) {
	if text == "" {
		return "", nil
	}
	hp, err := ParseHostPort(text)
	if err != nil || hp.Port == 0 {
		return "", &problem{quote(text) + " is no address to listen on", "write host:port, as in 127.0.0.1:8008"}
	}
	return text, nil
}

// source is an address or network in "hosts allow". Names are refused: rsync
// asks the DNS for each connection and, before 3.5.0, let everyone in when it
// did not answer.
func source(text string) (string, *problem) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked().String(), nil
	}
	return "", &problem{quote(text) + " is no IP address", "write the master's address or a network, as in 192.168.1.167 or 192.168.1.0/24; names are not taken"}
}

// bandwidth is rsync's --bwlimit with the unit written out: a bare number
// would be kilobytes to rsync and bytes to most readers.
func bandwidth(text string) (string, *problem) {
	if text == "" || text == "0" || isOff(text) {
		return "", nil
	}
	number, unit := text[:len(text)-1], strings.ToUpper(text[len(text)-1:])
	if _, err := strconv.ParseUint(number, 10, 32); err != nil || !strings.Contains("KMG", unit) {
		return "", &problem{quote(text) + " is no bandwidth", "write a number and K, M or G, bytes a second, as in 10M"}
	}
	return number + unit, nil
}

// madeOf reports whether text is not empty and holds ASCII letters, digits and
// the extra characters alone.
func madeOf(text, extra string) bool {
	for _, r := range text {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(extra, r) {
			return false
		}
	}
	return text != ""
}
