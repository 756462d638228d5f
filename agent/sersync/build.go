package sersync

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/secrets"
)

// builder puts files together.
type builder struct {
	file string
	Import
	master  *config.Master
	faults  config.Faults
	watched map[string]string // path -> the file that watches it
	second  map[string]string // module -> what it comes from, where that is no first localpath
	secrets []secrets.Secret  // passwords of CDNs, each once

	auth, hooks int  // lines of the file that is read
	isSecond    bool // what is read is no first localpath
}

func newBuilder() *builder {
	m := config.NewMaster()
	m.Auth = config.Auth{Off: true} // each target says for itself
	return &builder{Import: Import{Master: m, places: map[string]place{}}, master: m, watched: map[string]string{}, second: map[string]string{}}
}

func (b *builder) say(line int, kind Kind, what, becomes, why string) {
	b.Findings = append(b.Findings, Finding{File: b.file, Line: line, Kind: kind, What: what, Becomes: becomes, Why: why})
}

func (b *builder) fault(line int, problem, hint string) {
	b.faults = append(b.faults, &config.Fault{File: b.file, Line: line, Problem: problem, Hint: hint})
}

// instance adds one file, which the original gave a process of its own.
func (b *builder) instance(head *element) {
	b.idle(head)
	s := head.first("sersync")
	spec := config.NewModule("", "")
	var t config.TargetSpec
	b.options(s.first("rsync"), &spec, &t)
	b.filters(head.first("filter"), &spec)
	b.switches(head.first("inotify"), &spec)
	b.times(head, s, &spec)
	b.plugin(head, s.first("plugin"), &spec)
	for i, local := range s.all("localpath") {
		if i == 0 {
			b.local(local, spec, t)
			continue
		}
		b.secondLocal(local, spec, t)
	}
}

// secondLocal adds a directory that the original did not read. One that cannot be
// had is no reason to refuse the first.
func (b *builder) secondLocal(local *element, spec config.ModuleSpec, t config.TargetSpec) {
	faults, modules := len(b.faults), len(b.master.ModuleSpecs)
	b.isSecond = true
	b.local(local, spec, t)
	b.isSecond = false
	for _, f := range b.faults[faults:] {
		b.say(f.Line, Warning, local.says("watch"), leftOut, f.Problem+"; "+f.Hint)
	}
	if len(b.faults) > faults {
		b.faults = b.faults[:faults]
		b.prune()
		return
	}
	b.say(local.line, Changed, local.says("watch"), "a module of its own", "only the first localpath was read")
	if len(b.master.ModuleSpecs) > modules {
		b.second[b.master.ModuleSpecs[modules].Name] = local.says("watch")
	}
}

// local adds one watched directory with all of its slaves.
func (b *builder) local(local *element, spec config.ModuleSpec, t config.TargetSpec) {
	if !b.watch(local, &spec) {
		return
	}
	remotes := local.all("remote")
	if len(remotes) == 0 {
		b.fault(local.line, local.says("watch")+" has no <remote>", "add one")
		return
	}
	spec.Targets = []config.ModuleDest{}
	faults := len(b.faults)
	for _, r := range remotes {
		b.remote(r, &spec, t)
	}
	if len(b.faults) == faults {
		b.merge(local.line, spec)
	}
}

// watch takes the directory of a <localpath>.
func (b *builder) watch(local *element, spec *config.ModuleSpec) bool {
	spec.Path = local.attr("watch")
	if !strings.HasPrefix(spec.Path, "/") {
		b.fault(local.at(), fmt.Sprintf("%s is no absolute path", local.says("watch")), "write one")
		return false
	}
	spec.Path = path.Clean(spec.Path)
	if strings.IndexFunc(spec.Path, func(r rune) bool { return r > 0x7e }) >= 0 {
		b.say(local.line, Warning, local.says("watch"), strconv.Quote(spec.Path)+" in UTF-8",
			"if the directory's name is in another encoding on the disk, it is not found: give it an ASCII name, or a link")
	}
	return true
}

// remote adds one slave of a directory.
func (b *builder) remote(r *element, spec *config.ModuleSpec, t config.TargetSpec) {
	t.Host = strings.Trim(r.attr("ip"), "[]")
	name := r.attr("name")
	if t.Host == "" || strings.Trim(name, "/") == "" {
		b.fault(r.line, r.says("ip")+" has no ip or no name", "write both")
		return
	}
	module, dir, _ := strings.Cut(strings.Trim(name, "/"), "/")
	dest := config.ModuleDest{Module: module, Dir: strings.Trim(path.Clean("/"+dir), "/")}
	if spec.Transport == config.TransportSSH { // then it is a directory over there
		dest = config.ModuleDest{Dir: path.Clean(name)}
	}
	for n := 1; ; n++ {
		dest.Target = b.target(r.line, t, n)
		if !slices.ContainsFunc(spec.Targets, func(d config.ModuleDest) bool { return d.Target == dest.Target }) {
			break
		}
	}
	spec.Targets = append(spec.Targets, dest)
}

// target returns the name of the nth target like t, which it adds if there are
// fewer: a module names each target once.
func (b *builder) target(line int, t config.TargetSpec, n int) string {
	like := func(o config.TargetSpec) bool {
		o.Name = t.Name
		return same(o, t)
	}
	for _, o := range b.master.TargetSpecs {
		if like(o) {
			if n--; n == 0 {
				return o.Name
			}
		}
	}
	t.Name = b.free(plain(t.Host, "slave"), func(name string) bool {
		return slices.ContainsFunc(b.master.TargetSpecs, func(o config.TargetSpec) bool { return o.Name == name })
	}, net.JoinHostPort("", strconv.Itoa(t.Port))[1:])
	b.master.TargetSpecs = append(b.master.TargetSpecs, t)
	b.places["targets."+t.Name] = place{b.file, line}
	if b.auth > 0 {
		b.places["targets."+t.Name+".auth"] = place{b.file, b.auth}
	}
	return t.Name
}

// free returns the name, with the addition or a number if it is taken.
func (b *builder) free(name string, taken func(string) bool, addition string) string {
	if !taken(name) {
		return name
	}
	if longer := name + "-" + addition; !taken(longer) {
		return longer
	}
	for i := 2; ; i++ {
		if numbered := fmt.Sprintf("%s-%d", name, i); !taken(numbered) {
			return numbered
		}
	}
}

// plain makes a text a name of modules and targets.
func plain(text, otherwise string) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, text)
	name = strings.Trim(name[:min(len(name), 48)], ".-")
	if name == "" || name == "all" || strings.EqualFold(name, "global") {
		return otherwise
	}
	return name
}

// merge adds a module, or its slaves to the module of the same directory.
func (b *builder) merge(line int, spec config.ModuleSpec) {
	for i := range b.master.ModuleSpecs {
		old := &b.master.ModuleSpecs[i]
		if old.Path != spec.Path {
			continue
		}
		if b.second[old.Name] != "" && !b.isSecond { // what the original did read counts
			b.leave(old.Name, "another file has it as its first one; only that one was read")
			break
		}
		if !sameModule(*old, spec) {
			b.fault(line, fmt.Sprintf("%s is watched by %s too, with other settings", spec.Path, b.watched[spec.Path]),
				"make both alike, or run each file for itself")
			return
		}
		b.join(line, old, spec.Targets)
		return
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(b.master.ModuleSpecs, func(o config.ModuleSpec) bool { return o.Name == name })
	}
	first := path.Base(spec.Path)
	if len(spec.Targets) > 0 {
		first = cmp.Or(spec.Targets[0].Module, first)
	}
	spec.Name = b.free(plain(first, "module"), taken, plain(path.Base(spec.Path), "module"))
	for i := range spec.Targets {
		if spec.Targets[i].Module == spec.Name {
			spec.Targets[i].Module = ""
		}
	}
	b.watched[spec.Path] = b.file
	b.places["modules."+spec.Name] = place{b.file, line}
	if b.hooks > 0 {
		b.places["modules."+spec.Name+".hooks"] = place{b.file, b.hooks}
	}
	b.master.ModuleSpecs = append(b.master.ModuleSpecs, spec)
}

// join adds slaves to a module, but for those that it has. A module names each target
// once: for another directory of the same slave there is another target.
func (b *builder) join(line int, m *config.ModuleSpec, dests []config.ModuleDest) {
	for _, d := range dests {
		if d.Module == m.Name {
			d.Module = ""
		}
		if slices.Contains(m.Targets, d) {
			continue
		}
		i := slices.IndexFunc(b.master.TargetSpecs, func(t config.TargetSpec) bool { return t.Name == d.Target })
		like := b.master.TargetSpecs[i]
		for n := 1; slices.ContainsFunc(m.Targets, func(o config.ModuleDest) bool { return o.Target == d.Target }); n++ {
			d.Target = b.target(line, like, n)
		}
		m.Targets = append(m.Targets, d)
	}
}

// idle tells what has no effect.
func (b *builder) idle(head *element) {
	if e := head.first("host"); e != nil && (e.attr("hostip") != "localhost" || e.attr("port") != "8008") {
		b.say(e.line, Unneeded, e.says("hostip"), "nothing", "sersync read it and used it for nothing")
	}
	if e := head.first("debug"); e.on() {
		b.say(e.line, Changed, e.says("start"), "--log-level debug, which run -o takes from here", "every command with its arguments stands in the log at that level")
	}
	if e := head.first("fileSystem"); e != nil && e.attr("xfs") == "true" {
		b.say(e.line, Unneeded, e.says("xfs"), "nothing", "directories are recognised on every file system")
	}
}

// filters takes the expressions, and the drops that were built in.
func (b *builder) filters(f *element, spec *config.ModuleSpec) {
	spec.FilterSets = []string{filter.EditorTemporaries}
	if !f.on() {
		return
	}
	for _, x := range f.all("exclude") {
		text := x.attr("expression")
		if text == "" {
			b.say(x.line, Warning, x.says("expression"), "nothing", "it is empty")
			continue
		}
		var none *filter.Rules
		if _, err := none.WithRegexps([]string{text}); err != nil {
			b.badExpression(x.line, err)
			continue
		}
		spec.FilterRegex = append(spec.FilterRegex, text)
		b.say(x.line, Changed, x.says("expression"), fmt.Sprintf("filter_regex: [%q], with all that is below what it matches", text), whyFilter(text))
	}
}

func (b *builder) badExpression(line int, err error) {
	problem, hint := err.Error(), "mend the expression"
	var bad *filter.SyntaxError
	if errors.As(err, &bad) {
		problem, hint = fmt.Sprintf("expression %q %s", bad.Rule, bad.Problem), bad.Hint
	}
	b.fault(line, problem, hint)
}

// whyFilter says what the original made of an expression.
func whyFilter(text string) string {
	if strings.HasPrefix(text, "^") {
		return "it left out some of it: events below the top came with a slash in front, and whole directories went unfiltered; -r was skipped"
	}
	return "what stood in a directory of such a name was sent, and so was all of a new directory; -r was skipped"
}

func same(a, b config.TargetSpec) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }

func sameModule(a, b config.ModuleSpec) bool {
	a.Name, a.Targets, b.Name, b.Targets = "", nil, "", nil
	return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}
