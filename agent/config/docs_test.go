package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docsFile describes every key. Its tables are made from the table of fields
// and from what the program reads; -update writes them anew.
const docsFile = "../../docs/configuration.md"

// row is one key of the documentation.
type row struct{ key, takes, value, doc string }

// rows lists the keys of a mapping as the documentation shows them.
func rows(prefix string, fields []field) []row {
	var list []row
	for _, f := range fields {
		r := row{key: prefix + f.name, takes: takes(f), doc: f.doc}
		if f.val != nil {
			r.value = f.val.text()
		}
		if r.takes != "" {
			list = append(list, r)
		}
		list = append(list, rows(r.key+".", f.sub)...)
	}
	return list
}

// takes says what a key's value is, "" for a group of keys.
func takes(f field) string {
	switch {
	case f.custom != nil:
		return "see below"
	case f.list != nil:
		return "list"
	case f.val == nil:
		return ""
	case f.sub != nil:
		return "off, or:"
	case f.tag == tagInt:
		return "number"
	case f.tag == tagBool:
		return "true, false"
	}
	if _, ok := f.val.(scheduleValue); ok {
		return "time or cron"
	}
	if _, err := ParseDuration(f.val.text()); err == nil {
		return "time"
	}
	if _, err := ParseSize(f.val.text()); err == nil {
		return "size"
	}
	return "text"
}

// documented maps the name of each table to its lines.
func documented(t *testing.T) map[string]string {
	read := selectors(t)
	module, received := NewModule("", ""), NewReceiverModule("", "")
	inner := func(needed string, fields []field) string { return innerTable(rows("", fields), needed, read) }
	return map[string]string{
		"agent.yaml":     outerTable(rows("", masterFields(NewMaster())), read),
		"targets":        inner("host", targetFields(&TargetSpec{Port: DefaultPort})),
		"modules":        inner("path", append(moduleFields(&module), group("sweep", "", sweepRules(&module)...))),
		"hooks":          inner("name", hookFields(hookExample(), false)),
		"state hooks":    inner("name", hookFields(hookExample(), true)[:6]),
		"module targets": inner("target", destFields(&ModuleDest{})),
		"receiver.yaml":  outerTable(rows("", receiverFields(NewReceiver())), read),
		"directories":    inner("path", receivedFields(&received)),
		"rsync options":  "`--" + strings.Join(allowedExtra(), "` `--") + "`\n",
	}
}

func hookExample() *Hook {
	h := NewHook("", "")
	return &h
}

// outerTable shows keys that the environment can set.
func outerTable(list []row, read map[string]bool) string {
	var b strings.Builder
	b.WriteString("| key | takes | default | environment | meaning |\n|---|---|---|---|---|\n")
	for _, r := range list {
		env := code(Key{Name: r.key}.Env())
		if r.takes == "see below" {
			env = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.key, r.takes, code(r.value), env, meaning(r, read))
	}
	return b.String()
}

// innerTable shows the keys of one entry, of which needed has to be there.
func innerTable(list []row, needed string, read map[string]bool) string {
	var b strings.Builder
	b.WriteString("| key | takes | default | meaning |\n|---|---|---|---|\n")
	for _, r := range list {
		value := code(r.value)
		if r.key == needed {
			value = "must be given"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.key, r.takes, value, meaning(r, read))
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// meaning is a key's text, marked when no program reads the key.
func meaning(r row, read map[string]bool) string {
	name := strings.ReplaceAll(r.key, "_", "")
	group, _, _ := strings.Cut(name, ".")
	if r.takes == "see below" || read[name] || read[group] || read[strings.ReplaceAll(name, ".", "")] {
		return r.doc
	}
	return "**accepted, without effect yet**: " + r.doc
}

// selectors returns in lower case what program files of packages that know this one
// read: "warm" of x.Warm, "settle.quiet" of x.Settle.Quiet, and "settle" only
// where x.Settle is taken as a whole.
func selectors(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir("../..", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git" || p == "../../agent/config"):
			return filepath.SkipDir
		case !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		packages[filepath.Dir(p)] = append(packages[filepath.Dir(p)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range packages {
		if !slices.ContainsFunc(files, knowsConfig) {
			continue
		}
		for _, f := range files {
			addSelectors(names, f)
		}
	}
	return names
}

func knowsConfig(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"syncagent/agent/config"` })
}

func addSelectors(names map[string]bool, f *ast.File) {
	packages := map[string]bool{}
	for _, spec := range f.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		packages[p[strings.LastIndex(p, "/")+1:]] = true
	}
	inner := map[*ast.SelectorExpr]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok || !s.Sel.IsExported() {
			return true
		}
		name := strings.ToLower(s.Sel.Name)
		switch x := s.X.(type) {
		case *ast.SelectorExpr:
			inner[x] = true
			names[strings.ToLower(x.Sel.Name)+"."+name] = true
		case *ast.Ident:
			if packages[x.Name] {
				return true // a name of a package, not a field
			}
		}
		if !inner[s] || !hasFields(s.Sel.Name) {
			names[name] = true
		}
		return true
	})
}

// hasFields tells groups of keys, which are read field by field, from values
// that have methods.
func hasFields(name string) bool {
	for _, f := range append(masterFields(NewMaster()), moduleFields(&ModuleSpec{})...) {
		if f.sub != nil && strings.EqualFold(strings.ReplaceAll(f.name, "_", ""), name) {
			return true
		}
	}
	return false
}

// TestDocs: the documentation names exactly the keys that there are.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, table := range documented(t) {
		begin := "<!-- table: " + name + " -->\n"
		head, rest, ok := strings.Cut(text, begin)
		was, tail, closed := strings.Cut(rest, "<!-- end -->")
		if !ok || !closed {
			t.Errorf("%s has no %q and <!-- end --> after it", docsFile, begin)
			continue
		}
		if was != table && !*update {
			t.Errorf("table %s is not current: run go test ./agent/config -run TestDocs -update", name)
		}
		text = head + begin + table + "<!-- end -->" + tail
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDocsExamples: whatever the documentation shows as YAML is taken.
func TestDocsExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, file := range []string{
		docsFile, "../../docs/hooks.md", "../../README.md", "../../README.zh.md",
		"../../docs/migrate-from-sersync.md", "../../docs/migrate-from-sersync.zh.md", "../../docs/migrate-from-lsyncd.md",
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := blocks.FindAllSubmatch(data, -1)
		if len(found) == 0 {
			t.Errorf("%s shows no YAML", file)
		}
		for _, block := range found {
			_, master := DecodeMaster("agent.yaml", block[1])
			_, slave := DecodeReceiver("receiver.yaml", block[1])
			if master != nil && slave != nil {
				t.Errorf("%s shows\n%s\nas agent.yaml: %v\nas receiver.yaml: %v", file, block[1], master, slave)
			}
		}
	}
}

// TestDocsOverrides: a module takes the keys that the documentation says it
// does, those from settle on, and none before.
func TestDocsOverrides(t *testing.T) {
	settings := defaultSettings()
	all, over := Keys(RoleMaster), keysOf("", settingsFields(&settings))
	if first := over[0].Name; first != "settle.quiet" {
		t.Errorf("the first key that a module may override is %s", first)
	}
	for i, k := range over {
		if tail := all[len(all)-len(over)+i]; tail.Name != k.Name {
			t.Errorf("%s stands where %s is expected: the keys of modules are the last ones", tail.Name, k.Name)
		}
	}
}
