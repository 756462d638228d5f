package config

import (
	"slices"

	"syncagent/agent/filter"
)

// Tags of scalars in written YAML; a string that looks like a number or a bool
// is quoted because of its tag.
const (
	tagString = "!!str"
	tagInt    = "!!int"
	tagBool   = "!!bool"
)

// field is one key of a mapping: a scalar, a list of scalars, a mapping of
// fields, a mapping with a scalar form (val and sub), or a mapping or list with
// hooks of its own.
type field struct {
	name, doc string
	tag       string // of val
	val       value
	list      *listField
	sub       []field
	custom    *customField
}

func scalar(name, tag string, v value, doc string) field {
	return field{name: name, doc: doc, tag: tag, val: v}
}

func text(name string, p *string, c check, doc string) field {
	return scalar(name, tagString, stringValue(p, c), doc)
}

func number(name string, p *int, least, most int, doc string) field {
	return scalar(name, tagInt, intValue(p, least, most), doc)
}

func truth(name string, p *bool, doc string) field {
	return scalar(name, tagBool, boolValue(p), doc)
}

func span(name string, p *Duration, doc string) field {
	return scalar(name, tagString, durationValue(p), doc)
}

// lasting is a span that cannot be off.
func lasting(name string, p *Duration, doc string) field {
	v := durationValue(p)
	return scalar(name, tagString, bound{get: v.text, put: func(text string) *problem {
		if d, err := ParseDuration(text); err == nil && d < Second {
			return &problem{quote(text) + " is too short", "write 1s or more"}
		}
		return v.set(text)
	}}, doc)
}

func group(name, doc string, sub ...field) field { return field{name: name, doc: doc, sub: sub} }

// masterFields is the top level of agent.yaml.
func masterFields(m *Master) []field {
	head := []field{
		text("state_dir", &m.StateDir, absolute, "directory of what must survive a restart"),
		text("socket", &m.Socket, socketPath, "unix socket through which commands reach the running agent"),
		text("listen", &m.Listen, listenAddress, "host:port that tells /metrics and /status to whoever asks; empty is off"),
		number("workers", &m.Workers, 0, 10000, "rsync processes at once; 0 is twice the processors and two"),
		number("nice", &m.Nice, 0, 19, "added to the nice value of the rsync processes"),
		text("ionice", &m.Ionice, enum("none", "none", "best-effort", "idle"), "I/O class of the rsync processes: none leaves it, best-effort is its lowest level, or idle"),
		authField(&m.Auth, "how to log in on the targets; off where they ask nobody"),
		group("ssh", "how to reach targets whose transport is ssh", sshFields(&m.SSH)...),
	}
	tail := []field{
		{name: "on_state", doc: "hooks for targets in trouble, and well again", custom: hooksField(&m.OnState, true)},
		{name: "targets", doc: "the slaves by name", custom: targetsField(m)},
		{name: "modules", doc: "the trees by name", custom: modulesField(m)},
	}
	return slices.Concat(head, settingsFields(&m.Settings), tail)
}

func authField(a *Auth, doc string) field {
	return field{name: "auth", doc: doc, tag: tagString, val: authValue(a), sub: authFields(a)}
}

func authFields(a *Auth) []field {
	return []field{
		text("user", &a.User, userName, "user of the rsync daemon, not of the system"),
		text("password_file", &a.PasswordFile, absolute, "file of one line, mode 0600"),
	}
}

// settingsFields are the keys that a module may override.
func settingsFields(s *Settings) []field {
	const most = 1 << 40
	return []field{
		group("settle", "how long a change rests before it is sent",
			span("quiet", &s.Settle.Quiet, "after a finished change"),
			span("max", &s.Settle.Max, "at most, while changes go on"),
			span("growing", &s.Settle.Growing, "for a file that is still being written"),
			span("hot", &s.Settle.Hot, "for a file that never rests, between two times it is sent; grows to six times that; off is never")),
		group("sweep", "when a whole module is reconciled",
			truth("at_start", &s.Sweep.AtStart, "when the agent starts"),
			schedule("every", &s.Sweep.Every, "by schedule: a time, or five fields of cron; off is never"),
			schedule("checksum_every", &s.Sweep.ChecksumEvery, "the same, reading every byte; off is never"),
			number("concurrency", &s.Sweep.Concurrency, 1, 1000, "sweeps at once")),
		group("failures", "what becomes of paths that a target does not take",
			span("escalate_after", &s.Failures.EscalateAfter, "a path that fails for as long goes to the log and to failed.log; off is never"),
			span("retry_every", &s.Failures.RetryEvery, "all of them are tried at once, beside the pauses of each; off is never")),
		text("watcher", &s.Watcher, enum("", "auto", "fanotify", "fsnotify", "poll"), "how changes are noticed: auto, fanotify, fsnotify or poll"),
		group("lanes", "what is sent beside the rest",
			scalar("large", tagString, sizeValue(&s.Lanes.Large), "files and subtrees from this size on; 0 is none")),
		truth("warm", &s.Warm, "keep a connection open to each active target"),
		{
			name: "delete_guard", doc: "hold deletes above these limits back; off is no limit", tag: tagString, val: guardValue(&s.DeleteGuard),
			sub: []field{
				guardField("percent", &s.DeleteGuard, &s.DeleteGuard.Percent, 100, "of the module's entries, when it is also more than min"),
				guardField("min", &s.DeleteGuard, &s.DeleteGuard.Min, most, "deletes that percent never holds back"),
				guardField("files", &s.DeleteGuard, &s.DeleteGuard.Files, most, "deletes whatever their share; 0 is no such limit"),
			},
		},
		text("root_change", &s.RootChange, enum("", "block", "accept"), "when a module's root is another directory than before: block or accept"),
		text("first_sync", &s.FirstSync, enum("", "merge", "mirror"), "what only a new target has: merge keeps it, mirror deletes it"),
	}
}

func guardField(name string, g *Guard, p *int, most int, doc string) field {
	return scalar(name, tagInt, guardNumber(g, p, most), doc)
}

func targetFields(t *TargetSpec) []field {
	return []field{
		text("host", &t.Host, hostName, "name or address"),
		number("port", &t.Port, 1, 65535, "of the rsync daemon"),
		authField(&t.Auth, "instead of the top level's; off where it asks nobody"),
		text("bwlimit", &t.Bwlimit, bandwidth, "bytes a second with K, M or G; empty is no limit"),
		text("whole_file", &t.WholeFile, enum("no", "", "auto", "yes", "no"), "send changed files whole: auto, yes or no"),
		text("compress", &t.Compress, enum("none", append(compressions(), "")...), "instead of the module's"),
		text("checksum_choice", &t.ChecksumChoice, enum("", "", "auto", "xxh128", "xxh3", "xxh64", "md5", "md4"), "how rsync compares blocks and files: auto, xxh128, xxh3, xxh64, md5 or md4"),
		text("transport", &t.Transport, transport, "daemon or ssh; left out: daemon"),
		group("ssh", "instead of the top level's", sshFields(&t.SSH)...),
	}
}

// moduleFields are the keys of one module but for the settings.
func moduleFields(m *ModuleSpec) []field {
	return []field{
		text("path", &m.Path, dataPath, "root of the tree"),
		{name: "targets", doc: "left out: all of them; [] is nowhere, its changes go to its hooks alone", custom: destsField(m)},
		truth("delete", &m.Delete, "delete on the targets what is gone here"),
		text("backup_dir", &m.BackupDir, backupDir, "folder on the targets that keeps what is overwritten or deleted; empty keeps nothing"),
		{name: "filter", doc: "rsync's filter rules, the first match wins", list: &listField{p: &m.Filter, check: filterRule}},
		text("transport", &m.Transport, transport, "daemon or ssh, instead of what each target says"),
		{name: "hooks", doc: "what runs after a push", custom: hooksField(&m.Hooks, false)},
		{name: "filter_regex", doc: "expressions; what one of them matches in full is left out", list: &listField{p: &m.FilterRegex, check: filterRegex}},
		{name: "filter_sets", doc: "rules by name, behind those of filter: " + orList(filter.SetNames()), list: &listField{p: &m.FilterSets, check: enum("", filter.SetNames()...)}},
		{name: "events", doc: "what is noticed at once, sweeps see the rest; left out: all of " + orList(EventNames()), list: &listField{p: &m.Events, check: enum("", EventNames()...)}},
		group("rsync", "options of the rsync runs", rsyncFields(&m.Rsync)...),
	}
}

func compressions() []string { return []string{"none", "auto", "zstd", "lz4", "zlibx", "zlib"} }

func rsyncFields(r *RsyncOptions) []field {
	return []field{
		text("compress", &r.Compress, enum("none", compressions()...), "on the wire: none, auto, zstd, lz4, zlibx or zlib"),
		truth("xattrs", &r.Xattrs, "extended attributes"),
		truth("acls", &r.ACLs, "access control lists"),
		truth("hard_links", &r.HardLinks, "keep hard links"),
		truth("numeric_ids", &r.NumericIDs, "owners by number, not by name"),
		lasting("timeout", &r.Timeout, "of a run in which nothing moves"),
		{name: "extra", doc: "further options", list: &listField{p: &r.Extra, check: extraOption}},
	}
}

// destFields are the keys of one entry of a module's targets.
func destFields(d *ModuleDest) []field {
	return []field{
		text("target", &d.Target, anyText, "name of a target"),
		text("module", &d.Module, moduleName, "module over there; left out: of the same name"),
		text("path", &d.Dir, remoteDir, "below that module's root; by ssh the directory over there"),
	}
}

// receiverFields is the top level of receiver.yaml.
func receiverFields(r *Receiver) []field {
	return []field{
		text("state_dir", &r.StateDir, absolute, "directory of what must survive a restart"),
		text("conf_file", &r.ConfFile, absolute, "the rsyncd.conf that is written"),
		text("address", &r.Address, bindAddress, "IP address to listen on; empty is all, IPv4 and IPv6"),
		number("port", &r.Port, 1, 65535, "to listen on"),
		group("auth", "who may log in",
			text("user", &r.Auth.User, userName, "user of the rsync daemon, not of the system"),
			field{name: "also", doc: "further users, while a password is being changed", list: &listField{p: &r.Auth.Also, check: userName, rare: true}},
			text("secrets_file", &r.Auth.SecretsFile, absolute, "file of user:password lines, mode 0600")),
		{name: "allow", doc: "IP addresses and networks of the masters", list: &listField{p: &r.Allow, check: source}},
		number("max_connections", &r.MaxConnections, 0, 1000000, "at once; 0 is no limit"),
		{name: "modules", doc: "the directories by name", custom: receivedField(r)},
	}
}

func receivedFields(m *ReceiverModule) []field {
	return []field{
		text("path", &m.Path, servedPath, "directory to receive into"),
		text("owner", &m.Owner, account, "of the directory when it is created"),
		text("group", &m.Group, account, "of the directory when it is created"),
		text("uid", &m.UID, account, "user that writes below it"),
		text("gid", &m.GID, account, "group that writes below it"),
		truth("chroot", &m.Chroot, "confine the daemon to the directory; keeps symlinks exactly"),
		truth("read_only", &m.ReadOnly, "refuse to be written to"),
		text("backup_dir", &m.BackupDir, backupDir, "the masters' backup_dir, below this directory"),
		span("backup_keep", &m.BackupKeep, "how long backups stay there; off is for ever"),
	}
}
