// Package roles holds what the roles' files promise each other: defaults,
// specifications, pages and the program.
package roles

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"syncagent/agent/config"
)

var update = flag.Bool("update", false, "write the roles' README.md anew")

// option is one entry of an argument specification.
type option struct {
	Description any       `yaml:"description"`
	Type        string    `yaml:"type"`
	Elements    string    `yaml:"elements"`
	Default     yaml.Node `yaml:"default"`
	Choices     []string  `yaml:"choices"`
	Required    bool      `yaml:"required"`
	Options     yaml.Node `yaml:"options"`
}

type entry struct {
	Short       string    `yaml:"short_description"`
	Description []string  `yaml:"description"`
	Options     yaml.Node `yaml:"options"`
}

func roleNames() []string { return []string{"agent_install", "agent_master", "agent_slave"} }

func load(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func specs(t *testing.T, role string) map[string]entry {
	t.Helper()
	var file struct {
		Specs map[string]entry `yaml:"argument_specs"`
	}
	load(t, filepath.Join(role, "meta/argument_specs.yml"), &file)
	return file.Specs
}

// named are the options in the order of the file.
func named(t *testing.T, n yaml.Node) (names []string, options map[string]option) {
	t.Helper()
	options = map[string]option{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		var o option
		if err := n.Content[i+1].Decode(&o); err != nil {
			t.Fatal(err)
		}
		names = append(names, n.Content[i].Value)
		options[n.Content[i].Value] = o
	}
	return names, options
}

func text(t *testing.T, n yaml.Node) string {
	t.Helper()
	if n.Kind == 0 {
		return ""
	}
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%#v", v)
}

// TestDefaultsAreSpecified: Ansible documents the specification's defaults and
// applies those of defaults/main.yml; they are the same. But where an argument is
// wrong it prints the specification with its defaults filled in, so none is a password.
func TestDefaultsAreSpecified(t *testing.T) {
	for _, role := range roleNames() {
		var defaults map[string]yaml.Node
		load(t, filepath.Join(role, "defaults/main.yml"), &defaults)
		names, options := named(t, specs(t, role)["main"].Options)
		for name, value := range defaults {
			o, ok := options[name]
			if !ok {
				t.Errorf("%s: %s has a default and no specification", role, name)
				continue
			}
			want := text(t, value)
			if strings.Contains(want, "agent_common_password") {
				want = ""
			}
			if got := text(t, o.Default); got != want {
				t.Errorf("%s: %s: specified as %s, the default is %s", role, name, got, want)
			}
		}
		for _, name := range names {
			_, there := defaults[name]
			if o := options[name]; !there && (o.Default.Kind != 0 || o.Required) {
				t.Errorf("%s: %s is specified with a default, or as required, and defaults/main.yml has none", role, name)
			}
			if !strings.HasPrefix(name, role+"_") && !strings.HasPrefix(name, "agent_common_") {
				t.Errorf("%s: %s is not named after the role", role, name)
			}
		}
	}
}

// TestEntryPoints: each set of tasks that a playbook may call is specified.
func TestEntryPoints(t *testing.T) {
	inner := []string{"main", "preflight", "install", "configure", "copy", "url"}
	for _, role := range roleNames() {
		files, err := filepath.Glob(filepath.Join(role, "tasks/*.yml"))
		if err != nil {
			t.Fatal(err)
		}
		have := specs(t, role)
		for _, f := range files {
			name := strings.TrimSuffix(filepath.Base(f), ".yml")
			if _, ok := have[name]; !ok && !slices.Contains(inner, name) {
				t.Errorf("%s has no specification", f)
			}
			delete(have, name)
		}
		for name := range have {
			t.Errorf("%s: %s is specified and has no tasks", role, name)
		}
	}
}

// TestReadme: the roles' pages are made from their specifications.
func TestReadme(t *testing.T) {
	for _, role := range roleNames() {
		want := page(t, role)
		file := filepath.Join(role, "README.md")
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, _ := os.ReadFile(file); !bytes.Equal(got, want) {
			t.Errorf("%s is not current: run go test ./roles -update", file)
		}
	}
}

func page(t *testing.T, role string) []byte {
	t.Helper()
	var b bytes.Buffer
	all := specs(t, role)
	main := all["main"]
	fmt.Fprintf(&b, "# %s\n\n%s. %s\n\nMade from `meta/argument_specs.yml`; how the roles work together stands in [docs/ansible.md](../../docs/ansible.md).\n\n",
		role, main.Short, markup(strings.Join(main.Description, " ")))
	b.WriteString("| Variable | Type | Default | |\n|---|---|---|---|\n")
	rows(t, &b, "", main.Options)
	b.WriteString("\n## Other sets of tasks\n\n| `tasks_from` | |\n|---|---|\n")
	var names []string
	for name := range all {
		if name != "main" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, markup(all[name].Short))
	}
	return b.Bytes()
}

func rows(t *testing.T, b *bytes.Buffer, indent string, n yaml.Node) {
	t.Helper()
	names, options := named(t, n)
	for _, name := range names {
		o := options[name]
		kind := o.Type
		if o.Elements != "" {
			kind += " of " + o.Elements
		}
		standard := "`" + plain(o.Default) + "`"
		switch {
		case o.Required:
			standard = "required"
		case o.Default.Kind == 0:
			standard = ""
		}
		said := markup(words(o.Description))
		if len(o.Choices) > 0 {
			said += " One of `" + strings.Join(o.Choices, "`, `") + "`."
		}
		fmt.Fprintf(b, "| %s`%s` | %s | %s | %s |\n", indent, name, kind, strings.ReplaceAll(standard, "|", "\\|"), said)
		rows(t, b, indent+"· ", o.Options)
	}
}

// plain is a default as it stands in the file.
func plain(n yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		if n.Value == "" {
			return `""`
		}
		return n.Value
	}
	out, err := yaml.Marshal(&n)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func words(v any) string {
	if list, ok := v.([]any); ok {
		var s []string
		for _, w := range list {
			s = append(s, fmt.Sprint(w))
		}
		return strings.Join(s, " ")
	}
	return fmt.Sprint(v)
}

// markup turns Ansible's C(x), V(x) and O(x) into code.
func markup(s string) string {
	for _, m := range []string{"C(", "V(", "O("} {
		for {
			i := strings.Index(s, m)
			if i < 0 {
				break
			}
			j := strings.IndexByte(s[i:], ')')
			s = s[:i] + "`" + s[i+2:i+j] + "`" + s[i+j+1:]
		}
	}
	return s
}

// TestVersions: the collection, the role and the program have one version.
func TestVersions(t *testing.T) {
	var galaxy struct{ Version string }
	load(t, "../galaxy.yml", &galaxy)
	var defaults map[string]any
	load(t, "agent_install/defaults/main.yml", &defaults)
	source, err := os.ReadFile("../cmd/agent/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{galaxy.Version, defaults["agent_install_version"]} {
		if !bytes.Contains(source, fmt.Appendf(nil, "const version = %q", v)) {
			t.Errorf("the collection or the role says version %v, the program another", v)
		}
	}
}

// TestModuleArguments: what the module's page documents, what the action checks
// on the controller and what the program takes are the same.
func TestModuleArguments(t *testing.T) {
	var page struct {
		Documentation struct {
			Options map[string]any
		} `yaml:"DOCUMENTATION"`
	}
	load(t, "../plugins/modules/agent_init.yml", &page)
	action, err := os.ReadFile("../plugins/action/agent_init.py")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("../cmd/agent/ansible_module.go")
	if err != nil {
		t.Fatal(err)
	}
	arguments := regexp.MustCompile(`(?m)^    "(\w+)": \{`).FindAllSubmatch(action, -1)
	if len(arguments) != len(page.Documentation.Options) {
		t.Errorf("%d arguments are documented, %d are checked", len(page.Documentation.Options), len(arguments))
	}
	for _, a := range arguments {
		name := string(a[1])
		if _, ok := page.Documentation.Options[name]; !ok {
			t.Errorf("%s is checked and not documented", name)
		}
		if !bytes.Contains(program, fmt.Appendf(nil, "`json:%q`", name)) && name != "controller_program" {
			t.Errorf("%s is not known to the program", name)
		}
	}
}

// TestModuleKeys: every key of a module that the roles hand on is one of the
// program's, and the slave's are all there.
func TestModuleKeys(t *testing.T) {
	filter, err := os.ReadFile("../plugins/filter/agent_lists.py")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`SLAVE_KEYS = \((.*)\)`).FindSubmatch(filter)
	if line == nil {
		t.Fatal("no SLAVE_KEYS")
	}
	values := map[string]string{"path": "/srv/w", "chroot": "true", "read_only": "false"}
	var keys []string
	for _, k := range strings.Split(strings.ReplaceAll(string(line[1]), `"`, ""), ", ") {
		v := values[k]
		if v == "" {
			v = "root"
		}
		keys = append(keys, k+": "+v)
	}
	c, err := config.DecodeReceiver("receiver.yaml", []byte("allow: [10.0.0.1]\nmodules:\n  w: {"+strings.Join(keys, ", ")+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	full, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, options := named(t, specs(t, "agent_slave")["main"].Options)
	_, of := named(t, options["agent_slave_modules"].Options)
	for _, m := range regexp.MustCompile(`(\w+):`).FindAllSubmatch(full[bytes.Index(full, []byte("  w:"))+4:], -1) {
		if _, ok := of[string(m[1])]; !ok {
			t.Errorf("%s of receiver.yaml is not specified for agent_slave_modules", m[1])
		}
	}
}
