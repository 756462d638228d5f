package sersync

import (
	"fmt"
	"slices"
	"strings"
)

// known are the elements and attributes of the shipped confxml.xml.
func known() map[string]string {
	return map[string]string{
		"head":            "version",
		"head/host":       "hostip port",
		"head/debug":      "start",
		"head/fileSystem": "xfs",

		"head/filter":         "start",
		"head/filter/exclude": "expression",

		"head/inotify":              "",
		"head/inotify/delete":       "start",
		"head/inotify/createFolder": "start",
		"head/inotify/createFile":   "start",
		"head/inotify/closeWrite":   "start",
		"head/inotify/moveFrom":     "start",
		"head/inotify/moveTo":       "start",
		"head/inotify/attrib":       "start",
		"head/inotify/modify":       "start",

		"head/sersync":                               "",
		"head/sersync/localpath":                     "watch",
		"head/sersync/localpath/remote":              "ip name",
		"head/sersync/rsync":                         "",
		"head/sersync/rsync/commonParams":            "params",
		"head/sersync/rsync/auth":                    "start users passwordfile",
		"head/sersync/rsync/userDefinedPort":         "start port",
		"head/sersync/rsync/timeout":                 "start time",
		"head/sersync/rsync/ssh":                     "start",
		"head/sersync/failLog":                       "path timeToExecute",
		"head/sersync/crontab":                       "start schedule",
		"head/sersync/crontab/crontabfilter":         "start",
		"head/sersync/crontab/crontabfilter/exclude": "expression",
		"head/sersync/plugin":                        "start name",

		"head/plugin":                    "name",
		"head/plugin/param":              "prefix suffix ignoreError",
		"head/plugin/filter":             "start",
		"head/plugin/filter/include":     "expression",
		"head/plugin/localpath":          "watch",
		"head/plugin/localpath/deshost":  "ip port url",
		"head/plugin/localpath/cdninfo":  "domainname port username passwd",
		"head/plugin/localpath/sendurl":  "base",
		"head/plugin/localpath/regexurl": "regex match",
	}
}

// repeatable are the elements of which there may be several.
func repeatable() []string {
	return []string{
		"head/filter/exclude", "head/sersync/localpath", "head/sersync/localpath/remote", "head/sersync/crontab/crontabfilter/exclude",
		"head/plugin", "head/plugin/filter/include",
	}
}

// unknown finds elements and attributes that mean nothing or stand there twice, and
// switches that are neither true nor false.
func (b *builder) unknown(at string, e *element, names map[string]string) {
	seen := map[string]bool{}
	for _, c := range e.children {
		path := strings.TrimPrefix(at+"/"+c.name, "/")
		attrs, ok := names[path]
		if !ok {
			b.say(c.line, Warning, "<"+c.name+">", "not read", "sersync has no such element there")
			continue
		}
		same := c.name
		if path == "head/plugin" {
			same += " " + c.attr("name")
		}
		if seen[same] && !slices.Contains(repeatable(), path) || seen[same] && path == "head/plugin" {
			b.say(c.line, Warning, "<"+same+">", "not read", "it stands there twice, and the first one counts")
			continue
		}
		seen[same] = true
		for i, a := range c.attrs {
			switch {
			case slices.ContainsFunc(c.attrs[:i], func(o attribute) bool { return o.name == a.name }):
				b.say(c.line, Warning, fmt.Sprintf("<%s %s=%q>", c.name, a.name, a.value), "not read", "it stands there twice, and the first one counts")
			case !slices.Contains(strings.Fields(attrs), a.name):
				b.say(c.line, Warning, c.says(a.name), "not read", "sersync has no such attribute there")
			case a.name == "start" && c.attr("start") != "true" && c.attr("start") != "false":
				b.say(c.line, Warning, c.says(a.name), "off", "only the word true switches something on")
			}
		}
		b.unknown(path, c, names)
	}
}
