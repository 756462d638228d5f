package sersync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"syncagent/agent/config"
)

// options takes the <rsync> section.
func (b *builder) options(r *element, spec *config.ModuleSpec, t *config.TargetSpec) {
	t.Port = config.DefaultPort
	t.Auth = config.Auth{Off: true}
	spec.Rsync.NumericIDs = false
	b.auth = 0
	if e := r.first("auth"); e.on() {
		b.auth = e.line
		t.Auth = config.Auth{User: e.attr("users"), PasswordFile: e.attr("passwordfile")}
		if t.Auth.User == "" || !strings.HasPrefix(t.Auth.PasswordFile, "/") {
			b.fault(e.line, "<auth> has no users or no absolute passwordfile", "write both, or start=\"false\"")
		}
	}
	if e := r.first("userDefinedPort"); e.on() {
		b.port(e.line, e.says("port"), e.attr("port"), t)
	}
	if e := r.first("timeout"); e.on() {
		b.timeout(e.line, e.says("time"), e.attr("time"), spec)
	} else if !strings.Contains(r.first("commonParams").attr("params"), "--timeout") {
		b.say(e.at(), Changed, "<timeout start=\"false\">", "rsync.timeout: 1m", withoutTimeout)
	}
	if e := r.first("ssh"); e.on() {
		b.overSSH(e, spec, t)
	}
	b.params(r.first("commonParams"), spec, t)
}

func (b *builder) port(line int, what, text string, t *config.TargetSpec) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		b.fault(line, what+" is no port", "write one from 1 to 65535")
		return
	}
	t.Port = n
}

func (b *builder) timeout(line int, what, text string, spec *config.ModuleSpec) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		b.say(line, Changed, what, "rsync.timeout: 1m", withoutTimeout)
		return
	}
	spec.Rsync.Timeout = config.Duration(n) * config.Second
}

const withoutTimeout = "without a limit of time a slave that hangs is waited for without end"

// params takes what was pasted into every command. -a, -i and what is printed
// are ours to say.
func (b *builder) params(e *element, spec *config.ModuleSpec, t *config.TargetSpec) {
	p := params{builder: b, line: e.at(), spec: spec, target: t}
	if e == nil {
		p.letters("artz") // the default is -artuz
	}
	for words := split(e.attr("params")); len(words) > 0; {
		words = p.word(words)
	}
	if !strings.Contains(p.short, "a") {
		p.withoutArchive()
	}
}

// params reads the options of rsync.
type params struct {
	*builder
	line   int
	spec   *config.ModuleSpec
	target *config.TargetSpec
	short  string // letters seen
}

func (p *params) say(kind Kind, option, becomes, why string) {
	p.builder.say(p.line, kind, fmt.Sprintf("commonParams %q", option), becomes, why)
}

// word reads one option with its value, and returns the words after it.
func (p *params) word(words []string) []string {
	w := words[0]
	switch {
	case strings.HasPrefix(w, "--") && len(w) > 2:
		return p.long(words)
	case strings.HasPrefix(w, "-") && len(w) > 1:
		if i := strings.IndexAny(w, "efTBM@"); i > 0 { // these take a value
			p.letters(w[1:i])
			value, rest := w[i+1:], words[1:]
			if value == "" && len(rest) > 0 {
				value, rest = rest[0], rest[1:]
			}
			p.valued(w[i], value)
			return rest
		}
		p.letters(w[1:])
		return words[1:]
	}
	p.say(Warning, w, "left out", "it is no option")
	return words[1:]
}

func (p *params) valued(letter byte, value string) {
	switch letter {
	case 'f':
		p.filter("-f "+value, value)
	case 'B':
		p.extra("--block-size=" + value)
	case 'e':
		p.say(Warning, "-e "+value, "left out", `a remote shell is asked for with <ssh start="true"/>`)
	default:
		p.say(Warning, "-"+string(letter)+" "+value, "left out", "the runs depend on it as it is")
	}
}

// letters reads short options without value.
func (p *params) letters(letters string) {
	p.short += letters
	for _, l := range letters {
		option := "-" + string(l)
		switch l {
		case 'a', 'r', 'R', 't', 'l', 'p', 'o', 'g', 'D', 'd', 'v', 'q', 'h', 'i', 's', '8', 'P', 'y', 'm':
		case 'z':
			p.spec.Rsync.Compress = "auto"
		case 'H':
			p.spec.Rsync.HardLinks = true
		case 'A':
			p.spec.Rsync.ACLs = true
		case 'X':
			p.spec.Rsync.Xattrs = true
		case 'W':
			p.extra("--whole-file")
		case 'S':
			p.extra("--sparse")
		case 'E':
			p.extra("--executability")
		case 'b':
			p.extra("--backup")
		case '4':
			p.extra("--ipv4")
		case '6':
			p.extra("--ipv6")
		case 'u':
			p.say(Changed, option, "left out", "a file of the slave with a newer time was never overwritten, so a file that was rolled back never arrived")
		case 'c':
			p.say(Changed, option, "left out", "every run would read every byte on both sides; sweep.checksum_every does that on a schedule")
		case 'I':
			p.say(Changed, option, "left out", "what may have changed is compared byte by byte as it is")
		case 'L', 'k', 'K':
			p.say(Warning, option, "left out", "symlinks are sent as they are, never followed")
		case 'n':
			p.fault(p.line, `commonParams "-n": with it nothing is replicated`, "remove it")
		default:
			p.say(Warning, option, "left out", "it would change what is sent or what rsync prints")
		}
	}
}

// long reads --name, --name=value or --name value.
func (p *params) long(words []string) []string {
	name, value, has := strings.Cut(strings.TrimPrefix(words[0], "--"), "=")
	rest := words[1:]
	if !has && slices.Contains(takesValue(), name) && len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	option := "--" + name
	if value != "" {
		option += "=" + value
	}
	switch name {
	case "archive", "recursive", "relative", "times", "links", "perms", "owner", "group", "devices", "specials", "verbose", "quiet", "progress",
		"human-readable", "itemize-changes", "stats", "protect-args", "secluded-args", "partial", "omit-dir-times", "no-motd", "port", "timeout", "password-file":
		p.carried(name, value)
	case "compress", "hard-links", "acls", "xattrs", "update", "checksum", "ignore-times", "copy-links", "copy-dirlinks", "keep-dirlinks", "dry-run":
		p.letters(shortOf(name))
	case "numeric-ids":
		p.spec.Rsync.NumericIDs = true
	case "exclude":
		p.filter(option, "- "+value)
	case "include":
		p.filter(option, "+ "+value)
	case "filter":
		p.filter(option, value)
	case "bwlimit":
		p.bandwidth(option, value)
	case "delete", "del", "delete-before", "delete-during", "delete-delay", "delete-after", "force":
		p.say(Unneeded, option, "nothing", "deletes follow the delete switch, and pass the delete guard")
	default:
		p.extra(option)
	}
	return rest
}

// carried are options that are kept, or ours to say.
func (p *params) carried(name, value string) {
	switch name {
	case "archive":
		p.short += "a"
	case "port":
		p.builder.port(p.line, "commonParams \"--port\"", value, p.target)
	case "timeout":
		p.builder.timeout(p.line, "commonParams \"--timeout\"", value, p.spec)
	case "password-file":
		if !p.target.Auth.Off {
			p.target.Auth.PasswordFile = value
		}
	case "times", "links", "perms", "owner", "group", "devices":
		p.short += shortOf(name)
	}
}

func shortOf(name string) string {
	return map[string]string{
		"compress": "z", "hard-links": "H", "acls": "A", "xattrs": "X", "update": "u", "checksum": "c", "ignore-times": "I", "copy-links": "L",
		"copy-dirlinks": "k", "keep-dirlinks": "K", "dry-run": "n", "times": "t", "links": "l", "perms": "p", "owner": "o", "group": "g", "devices": "D",
	}[name]
}

// takesValue are the options whose value may be the next word.
func takesValue() []string {
	return []string{
		"exclude", "include", "filter", "exclude-from", "include-from", "bwlimit", "timeout", "contimeout", "port", "password-file", "chmod", "chown",
		"usermap", "groupmap", "temp-dir", "partial-dir", "backup-dir", "suffix", "max-size", "min-size", "compress-level", "skip-compress", "rsh",
		"log-file", "out-format", "block-size", "address", "max-delete", "modify-window", "compare-dest", "link-dest", "files-from", "rsync-path",
	}
}

// filter takes a rule. One that cannot be taken must not be lost: what it left
// out would be sent.
func (p *params) filter(option, rule string) {
	if err := config.FilterRule(rule); err != nil {
		p.fault(p.line, fmt.Sprintf("commonParams %q: %v", option, err), "write it as a rule that filter takes")
		return
	}
	p.spec.Filter = append(p.spec.Filter, rule)
	p.say(Changed, option, fmt.Sprintf("filter: [%q]", rule), "events knew nothing of it, and what it left out was deleted with its directory")
}

func (p *params) bandwidth(option, value string) {
	unit := strings.ToUpper(value[max(0, len(value)-1):])
	if !strings.Contains("KMG", unit) || unit == "" {
		value += "K" // rsync's unit
	}
	if _, err := strconv.ParseUint(value[:len(value)-1], 10, 32); err != nil {
		p.say(Warning, option, "left out", "it is no bandwidth that is taken here: write bwlimit: 10M at the target")
		return
	}
	p.target.Bwlimit = strings.ToUpper(value)
	if strings.HasPrefix(p.target.Bwlimit, "0") {
		p.target.Bwlimit = ""
	}
}

// extra keeps an option that changes how a file is sent or stored.
func (p *params) extra(option string) {
	switch name, _, _ := strings.Cut(strings.TrimPrefix(option, "--"), "="); {
	case slices.Contains([]string{"exclude-from", "include-from", "cvs-exclude", "files-from", "max-size", "min-size", "existing", "ignore-existing"}, name):
		p.fault(p.line, fmt.Sprintf("commonParams %q cannot be taken: what it left out would be sent", option), "write what is left out as rules of filter, in agent.yaml")
	case config.ExtraOption(option) != nil:
		p.say(Warning, option, "left out", strings.TrimPrefix(config.ExtraOption(option).Error(), "option "))
	default:
		p.spec.Rsync.Extra = append(p.spec.Rsync.Extra, option)
	}
}

// withoutArchive keeps what -a would add away.
func (p *params) withoutArchive() {
	for _, o := range []struct{ letter, option string }{{"p", "--no-perms"}, {"o", "--no-owner"}, {"g", "--no-group"}, {"D", "--no-devices"}, {"D", "--no-specials"}} {
		if !strings.Contains(p.short, o.letter) {
			p.extra(o.option)
		}
	}
	if !strings.Contains(p.short, "t") {
		p.say(Changed, "without -a and -t", "times are kept", "by them is told what differs; without them every file was sent again each time")
	}
	if !strings.Contains(p.short, "l") {
		p.say(Changed, "without -a and -l", "symlinks are sent", "a slave that lacks them is no copy")
	}
}

// split cuts a line into words as a shell does, without expansions.
func split(line string) []string {
	var words []string
	var word strings.Builder
	quote, open := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, open = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if open {
				words = append(words, word.String())
				word.Reset()
			}
			open = false
		default:
			open = true
			word.WriteRune(r)
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}
