package config

import "strings"

// Key is a configuration key outside targets and modules: what a flag or an
// environment variable can set.
type Key struct {
	Name    string // dotted
	Default string
	Doc     string
}

// Env returns the name of the key's environment variable.
func (k Key) Env() string {
	return "SYNCAGENT_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(k.Name))
}

// Keys returns the keys of a role's file in the order in which several of them
// must be given to Set: delete_guard before delete_guard.percent.
func Keys(role Role) []Key {
	if role == RoleSlave {
		return keysOf("", receiverFields(NewReceiver()))
	}
	return keysOf("", masterFields(NewMaster()))
}

func keysOf(prefix string, fields []field) []Key {
	var keys []Key
	for _, f := range fields {
		k := Key{Name: prefix + f.name, Doc: f.doc}
		switch {
		case f.list != nil:
			k.Default = strings.Join(*f.list.p, ",")
			keys = append(keys, k)
		case f.val != nil:
			k.Default = f.val.text()
			keys = append(keys, k)
		}
		keys = append(keys, keysOf(k.Name+".", f.sub)...)
	}
	return keys
}

// Set changes one key as strictly as decoding does. Lists take their items
// separated by commas. The error is a *Fault without file.
func (m *Master) Set(key, value string) error { return set(masterFields(m), &m.origin, key, value) }

// Set changes one key; see Master.Set.
func (r *Receiver) Set(key, value string) error {
	return set(receiverFields(r), &r.origin, key, value)
}

func set(fields []field, o *origin, key, value string) error {
	f, ok := find(fields, key)
	if !ok || f.val == nil && f.list == nil {
		return unknownKey(fields, f, key)
	}
	if bad := setField(f, value); bad != nil {
		return &Fault{Key: key, Problem: bad.text, Hint: bad.hint}
	}
	o.noteSet(key)
	return nil
}

// unknownKey explains why key cannot be set: f is what it names, if anything.
func unknownKey(fields []field, f field, key string) *Fault {
	known := func(prefix string, fields []field) []string {
		var names []string
		for _, k := range keysOf(prefix, fields) {
			names = append(names, k.Name)
		}
		return names
	}
	switch {
	case f.custom != nil:
		return &Fault{Key: key, Problem: "cannot be set from outside", Hint: "write it in the configuration file"}
	case f.sub != nil:
		return &Fault{Key: key, Problem: "is several keys", Hint: "set " + orList(known(key+".", f.sub))}
	}
	return &Fault{Key: printable(key), Problem: "unknown key", Hint: Suggest(key, known("", fields))}
}

// find walks the dotted key down to its field.
func find(fields []field, key string) (field, bool) {
	name, rest, nested := strings.Cut(key, ".")
	for _, f := range fields {
		switch {
		case f.name == name && nested:
			return find(f.sub, rest)
		case f.name == name:
			return f, true
		}
	}
	return field{}, false
}

func setField(f field, value string) *problem {
	if f.list == nil {
		return f.val.set(value)
	}
	var items []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		item, bad := f.list.check(item)
		if bad != nil {
			return bad
		}
		items = append(items, item)
	}
	*f.list.p = items
	return nil
}
