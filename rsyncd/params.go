package rsyncd

import (
	"errors"
	"strconv"
	"strings"
)

// param binds a parameter's name to the field that holds it, for reading and
// writing alike, so that Render and Parse cannot disagree about the list.
type param struct {
	name string
	// format returns the field as it is written; false leaves the line out,
	// which must mean the same to the daemon.
	format func() (string, bool)
	parse  func(string) error

	// Of lists only: the field, and what the daemon makes of a value.
	entries func() []string
	split   func(string) []string
}

// params lists the daemon-wide parameters in the order they are written.
func (c *Conf) params() []param {
	return []param{
		text("pid file", &c.PIDFile),
		text("log file", &c.LogFile),
		text("lock file", &c.LockFile),
		text("motd file", &c.MOTDFile),
		text("address", &c.Address),
		number("port", &c.Port),
		list("socket options", &c.SocketOptions, splitSocketOptions),
		number("listen backlog", &c.ListenBacklog),
		boolean("reverse lookup", &c.ReverseLookup),
	}
}

// params lists a module's parameters in the order they are written.
func (m *Module) params() []param {
	return []param{
		text("comment", &m.Comment),
		path("path", &m.Path),
		text("uid", &m.UID),
		text("gid", &m.GID),
		switched("use chroot", &m.Chroot),
		switched("munge symlinks", &m.MungeSymlinks),
		switched("numeric ids", &m.NumericIDs),
		boolean("fake super", &m.FakeSuper),
		boolean("read only", &m.ReadOnly),
		boolean("write only", &m.WriteOnly),
		boolean("list", &m.List),
		rules("auth users", &m.AuthUsers),
		text("auth digest", &m.AuthDigest),
		text("secrets file", &m.SecretsFile),
		boolean("strict modes", &m.StrictModes),
		list("hosts allow", &m.HostsAllow, splitHosts),
		list("hosts deny", &m.HostsDeny, splitHosts),
		boolean("reverse lookup", &m.ReverseLookup),
		number("max connections", &m.MaxConnections),
		number("timeout", &m.Timeout),
		list("refuse options", &m.RefuseOptions, splitOptions),
		text("exclude", &m.Exclude),
		text("incoming chmod", &m.IncomingChmod),
		boolean("transfer logging", &m.TransferLogging),
		textOr("log format", &m.LogFormat, defaultLogFormat),
	}
}

// canonical makes names comparable as the daemon compares them: without white
// space and case (strwiEQ in loadparm.c).
func canonical(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r < 0x80 && isSpace(byte(r)) {
			return -1
		}
		return r
	}, name))
}

func find(params []param, name string) (param, bool) {
	key := canonical(name)
	for _, p := range params {
		if canonical(p.name) == key {
			return p, true
		}
	}
	return param{}, false
}

func text(name string, field *string) param { return textOr(name, field, "") }

// textOr leaves out the value that the daemon assumes anyhow.
func textOr(name string, field *string, assumed string) param {
	return param{
		name:   name,
		format: func() (string, bool) { return *field, *field != assumed },
		parse:  func(v string) error { *field = v; return nil },
	}
}

// path drops trailing slashes as the daemon does.
func path(name string, field *string) param {
	p := text(name, field)
	p.parse = func(v string) error {
		for len(v) > 1 && strings.HasSuffix(v, "/") {
			v = v[:len(v)-1]
		}
		if v != "" && isSpace(v[len(v)-1]) {
			return errors.New("the path ends in white space: rename the directory")
		}
		*field = v
		return nil
	}
	return p
}

func number(name string, field *int) param {
	return param{
		name:   name,
		format: func() (string, bool) { return strconv.Itoa(*field), *field != 0 },
		parse: func(v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return errors.New("want a whole number")
			}
			*field = n
			return nil
		},
	}
}

// boolean is always written: what decides over access shall be there to be read.
func boolean(name string, field *bool) param {
	return param{
		name:   name,
		format: func() (string, bool) { return yesNo(*field), true },
		parse: func(v string) error {
			b, ok := parseBool(v)
			if !ok {
				return errors.New("want yes or no")
			}
			*field = b
			return nil
		},
	}
}

func switched(name string, field *Tri) param {
	return param{
		name:   name,
		format: func() (string, bool) { return yesNo(*field == Yes), *field != Unset },
		parse: func(v string) error {
			b, ok := parseBool(v)
			switch {
			case ok && b:
				*field = Yes
			case ok:
				*field = No
			case canonical(v) == "unset" || v == "-1":
				*field = Unset
			default:
				return errors.New("want yes, no or unset")
			}
			return nil
		},
	}
}

func list(name string, field *[]string, split func(string) []string) param {
	return param{
		name:   name,
		format: func() (string, bool) { return strings.Join(*field, " "), len(*field) > 0 },
		parse:  func(v string) error { *field = split(v); return nil },

		entries: func() []string { return *field },
		split:   split,
	}
}

// rules is a list whose entries may hold blanks: the daemon then wants it to
// begin with a comma.
func rules(name string, field *[]string) param {
	p := list(name, field, splitRules)
	p.format = func() (string, bool) {
		if strings.ContainsFunc(strings.Join(*field, ""), isSpaceRune) {
			return ", " + strings.Join(*field, ", "), true
		}
		return strings.Join(*field, " "), len(*field) > 0
	}
	return p
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func parseBool(v string) (value, ok bool) {
	switch canonical(v) {
	case "yes", "true", "1":
		return true, true
	case "no", "false", "0":
		return false, true
	}
	return false, false
}

// Each list has separators of its own: access.c, options.c, socket.c and
// conf_strtok in util1.c.

func splitHosts(v string) []string         { return splitAt(v, " ,\t") }
func splitOptions(v string) []string       { return splitAt(v, " ") }
func splitSocketOptions(v string) []string { return splitAt(v, " \t,") }

func splitRules(v string) []string {
	if !strings.HasPrefix(v, ",") {
		return splitAt(v, " ,\t\r\n")
	}
	var out []string
	for _, r := range splitAt(v, ",") {
		if r = strings.TrimFunc(r, isSpaceRune); r != "" {
			out = append(out, r)
		}
	}
	return out
}

func splitAt(v, separators string) []string {
	out := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(separators, r) })
	if len(out) == 0 {
		return nil
	}
	return out
}

// isSpace is C's isspace, by which the daemon reads its file.
func isSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r'
}

func isSpaceRune(r rune) bool { return r < 0x80 && isSpace(byte(r)) }
