package config

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A new file says what is likely to be changed and shows the rest, with its
// defaults, as comments. The comments come from the table of fields, so they
// name what is there.

func masterTemplate() []byte {
	const head = `# The master's configuration, read by: agent run
# agent init changes the modules and targets it is told about and nothing else.
`
	const targets = `
# The slaves by name, as in: s1: {host: 192.168.1.168, port: 873, bwlimit: 10M}
targets:
`
	const modules = `
# The trees by name, each with its absolute path. What a module may have beside it:
# targets: [s1], delete: false, filter: ["- *.tmp"], rsync: {...}, and the settings
# from settle on.
modules:
`
	fields := masterFields(NewMaster())
	return template(head, fields, []string{"state_dir", "socket", "auth"}, targets+modules)
}

func receiverTemplate() []byte {
	const head = `# The receiver's configuration, read by: agent receiver
# agent init changes the modules it is told about and nothing else.
`
	const modules = `
# The addresses and networks of the masters, as in: [192.168.1.167]
allow: []

# The directories by name, as in: www: {path: /www/www, owner: www, group: www}
modules:
`
	fields := receiverFields(NewReceiver())
	return template(head, fields, []string{"state_dir", "conf_file", "port", "auth"}, modules)
}

// template puts the live keys below the head and shows all others at the end.
func template(head string, fields []field, live []string, sections string) []byte {
	var b, rest bytes.Buffer
	b.WriteString(head)
	rest.WriteString("\n# What else can be set, with its default:\n")
	for _, f := range fields {
		switch {
		case f.custom != nil || f.name == "allow":
		case contained(live, f.name):
			b.WriteString(line(f) + "\n")
		default:
			rest.WriteString("# " + pad(line(f), 62) + "  # " + f.doc + "\n")
		}
	}
	b.WriteString(sections)
	b.Write(rest.Bytes())
	return b.Bytes()
}

func contained(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}

// line is a field with its value as one line of YAML.
func line(f field) string {
	text, err := render(f.name, encodeField(f))
	if err != nil {
		return f.name + ":"
	}
	return text
}

// render writes "key: value" without a line end, as several lines when the
// value is a mapping in block style.
func render(key string, v *yaml.Node) (string, error) {
	n := mapping()
	put(n, key, v)
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), enc.Close()
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-len(text)))
}
