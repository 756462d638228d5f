package config

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MasterChange is what an edit of agent.yaml is to make true; what is empty
// stays as it is. New modules and targets come after the others, by name.
type MasterChange struct {
	Modules       map[string]string   // path by name: added, or moved
	Targets       map[string]HostPort // added, or changed; port 0 is the default
	RemoveModules []string
	User          string
	PasswordFile  string
	StateDir      string
	Socket        string
}

// ReceiverChange is what an edit of receiver.yaml is to make true; what is
// empty stays as it is.
type ReceiverChange struct {
	Modules     map[string]ReceivedDir // by name: added, or changed
	Remove      []string               // names of modules
	User        string
	Also        []string // all further users afterwards; empty and not nil: none
	SecretsFile string
	StateDir    string
	ConfFile    string
	Address     string
	Port        int
	Allow       []string // all that may connect afterwards, in any order
}

// ReceivedDir is a module's directory; an empty owner or group stays.
type ReceivedDir struct{ Path, Owner, Group string }

// EditMaster returns old, the text of an agent.yaml, with the change made and
// every other byte kept: comments, order, quoting. When the change says
// nothing new the result is old itself. An empty old gives a commented file.
// The error is Faults: old cannot be decoded, a value of the change is wrong,
// or the place to change is written in a way that takes a person.
func EditMaster(old []byte, ch MasterChange) ([]byte, error) {
	return edit(old, ch.steps(), edition{
		name:     "agent.yaml",
		template: masterTemplate,
		fresh:    func() editable { return NewMaster() },
	})
}

// EditReceiver does for a receiver.yaml what EditMaster does for an
// agent.yaml.
func EditReceiver(old []byte, ch ReceiverChange) ([]byte, error) {
	return edit(old, ch.steps(), edition{
		name:     "receiver.yaml",
		template: receiverTemplate,
		fresh:    func() editable { return NewReceiver() },
	})
}

// edition is what the two files differ in.
type edition struct {
	name     string
	template func() []byte
	fresh    func() editable
}

// editable is a Master or a Receiver.
type editable interface {
	top() []field
	// entry returns the fields of the named entry, which it adds when it is
	// missing.
	entry(section, name string) []field
	drop(module string)
}

// step makes one key say something.
type step struct {
	path   []string // the way down the mappings
	text   string   // as for Set
	remove bool

	node *yaml.Node // the canonical value, nil when it was so already
}

// edit makes the steps in the decoded form and in the text, and returns the
// text when it decodes to that form.
func edit(old []byte, steps []step, e edition) ([]byte, error) {
	if len(bytes.TrimSpace(old)) == 0 {
		old = nil
	}
	text := old
	if old == nil {
		text = e.template()
	}
	doc := e.fresh()
	before, err := e.canonical(text, doc)
	if err != nil {
		return nil, err
	}
	if err := e.apply(doc, steps); err != nil {
		return nil, err
	}
	want, err := encode(doc.top())
	if err != nil {
		return nil, err
	}
	if bytes.Equal(want, before) {
		return text, nil
	}
	text, err = editText(text, steps)
	if err != nil {
		return nil, e.byHand(err)
	}
	if got, err := e.canonical(text, e.fresh()); err != nil || !bytes.Equal(got, want) {
		return nil, e.byHand(errByHand)
	}
	return text, nil
}

// errByHand is why an edit gives up.
var errByHand = errors.New("is written in a way that only a person can change")

func (e edition) byHand(err error) error {
	return Faults{{File: e.name, Problem: err.Error(), Hint: "write it there as plain key: value lines, or make the change by hand"}}
}

// canonical decodes text into doc and encodes it again. Unlike a file to be
// run with, it need not say anything.
func (e edition) canonical(text []byte, doc editable) ([]byte, error) {
	root, err := parse(e.name, text)
	if err != nil {
		return nil, err
	}
	d := &decoder{origin: origin{file: e.name, lines: map[string]int{}}}
	d.fields("", root, doc.top())
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	return encode(doc.top())
}

// apply makes the steps in doc and notes the value of those that change it.
func (e edition) apply(doc editable, steps []step) error {
	var faults Faults
	for i := range steps {
		s := &steps[i]
		if bad := s.apply(doc); bad != nil {
			faults = append(faults, &Fault{Key: join("", strings.Join(s.path, ".")), Problem: bad.text, Hint: bad.hint})
		}
	}
	return faults.err()
}

func (s *step) apply(doc editable) *problem {
	if s.remove {
		doc.drop(s.path[1])
		return nil
	}
	fields, rest := doc.top(), s.path
	if len(rest) == 3 {
		if bad := checkEntry(rest[0], rest[1]); bad != nil {
			return bad
		}
		fields, rest = doc.entry(rest[0], rest[1]), rest[2:]
	}
	f, _ := find(fields, strings.Join(rest, "."))
	was, had := encodeField(f), f.items()
	if bad := setField(f, s.text); bad != nil {
		return bad
	}
	if f.list != nil {
		*f.list.p = sameOrder(had, *f.list.p)
	}
	is := encodeField(f)
	switch {
	case is == nil:
		s.remove = true
	case was == nil, is.Value != was.Value, !slices.Equal(had, f.items()):
		s.node = is
	}
	return nil
}

func (f field) items() []string {
	if f.list == nil {
		return nil
	}
	return *f.list.p
}

// sameOrder returns the items of now in the order of had, new ones last: the
// order means nothing to rsync, and a list that is merely sorted otherwise is
// no change.
func sameOrder(had, now []string) []string {
	var list []string
	for _, item := range slices.Concat(had, now) {
		if slices.Contains(now, item) && !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list
}

func checkEntry(section, name string) *problem {
	if section == "targets" {
		return checkTarget(name)
	}
	return checkName(name)
}

func (m *Master) top() []field { return masterFields(m) }

func (m *Master) entry(section, name string) []field {
	if section == "targets" {
		i := m.target(name)
		if i < 0 {
			i = len(m.TargetSpecs)
			m.TargetSpecs = append(m.TargetSpecs, TargetSpec{Name: name, Port: DefaultPort})
		}
		return targetFields(&m.TargetSpecs[i])
	}
	i := slices.IndexFunc(m.ModuleSpecs, func(s ModuleSpec) bool { return s.Name == name })
	if i < 0 {
		i = len(m.ModuleSpecs)
		m.ModuleSpecs = append(m.ModuleSpecs, NewModule(name, ""))
	}
	return moduleFields(&m.ModuleSpecs[i])
}

func (m *Master) drop(module string) {
	m.ModuleSpecs = slices.DeleteFunc(m.ModuleSpecs, func(s ModuleSpec) bool { return s.Name == module })
}

func (r *Receiver) top() []field { return receiverFields(r) }

func (r *Receiver) entry(_, name string) []field {
	i := slices.IndexFunc(r.Modules, func(m ReceiverModule) bool { return m.Name == name })
	if i < 0 {
		i = len(r.Modules)
		r.Modules = append(r.Modules, NewReceiverModule(name, ""))
	}
	return receivedFields(&r.Modules[i])
}

func (r *Receiver) drop(module string) {
	r.Modules = slices.DeleteFunc(r.Modules, func(m ReceiverModule) bool { return m.Name == module })
}

func (ch MasterChange) steps() []step {
	steps := slices.Concat(
		removals(ch.RemoveModules),
		optional(ch.StateDir, "state_dir"),
		optional(ch.Socket, "socket"),
		optional(ch.User, "auth", "user"),
		optional(ch.PasswordFile, "auth", "password_file"),
	)
	for _, name := range slices.Sorted(maps.Keys(ch.Targets)) {
		t := ch.Targets[name]
		port := t.Port
		if port == 0 {
			port = DefaultPort
		}
		steps = append(steps,
			step{path: []string{"targets", name, "host"}, text: t.Host},
			step{path: []string{"targets", name, "port"}, text: strconv.Itoa(port)})
	}
	for _, name := range slices.Sorted(maps.Keys(ch.Modules)) {
		steps = append(steps, step{path: []string{"modules", name, "path"}, text: ch.Modules[name]})
	}
	return steps
}

func (ch ReceiverChange) steps() []step {
	steps := slices.Concat(
		removals(ch.Remove),
		optional(ch.StateDir, "state_dir"),
		optional(ch.ConfFile, "conf_file"),
		optional(ch.Address, "address"),
		optional(ch.User, "auth", "user"),
		ch.also(),
		optional(ch.SecretsFile, "auth", "secrets_file"),
		optional(strings.Join(ch.Allow, ","), "allow"),
	)
	if ch.Port != 0 {
		steps = append(steps, step{path: []string{"port"}, text: strconv.Itoa(ch.Port)})
	}
	for _, name := range slices.Sorted(maps.Keys(ch.Modules)) {
		d := ch.Modules[name]
		steps = append(steps, step{path: []string{"modules", name, "path"}, text: d.Path})
		steps = append(steps, optional(d.Owner, "modules", name, "owner")...)
		steps = append(steps, optional(d.Group, "modules", name, "group")...)
	}
	return steps
}

func (ch ReceiverChange) also() []step {
	if ch.Also == nil {
		return nil
	}
	return []step{{path: []string{"auth", "also"}, text: strings.Join(ch.Also, ",")}}
}

func removals(names []string) []step {
	steps := make([]step, len(names))
	for i, name := range names {
		steps[i] = step{path: []string{"modules", name}, remove: true}
	}
	return steps
}

func optional(text string, path ...string) []step {
	if text == "" {
		return nil
	}
	return []step{{path: path, text: text}}
}
