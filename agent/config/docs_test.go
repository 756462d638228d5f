package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docsFile describes every key. Its tables are made from the table of fields;
// -update writes them anew.
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
	module, received := NewModule("", ""), NewReceiverModule("", "")
	inner := func(needed string, fields []field) string { return innerTable(rows("", fields), needed) }
	return map[string]string{
		"agent.yaml":     outerTable(rows("", masterFields(NewMaster()))),
		"targets":        inner("host", targetFields(&TargetSpec{Port: DefaultPort})),
		"modules":        inner("path", append(moduleFields(&module), group("sweep", "", sweepRules(&module)...))),
		"hooks":          inner("name", hookFields(hookExample(), false)),
		"state hooks":    inner("name", hookFields(hookExample(), true)[:6]),
		"module targets": inner("target", destFields(&ModuleDest{})),
		"receiver.yaml":  outerTable(rows("", receiverFields(NewReceiver()))),
		"directories":    inner("path", receivedFields(&received)),
		"rsync options":  "`--" + strings.Join(allowedExtra(), "` `--") + "`\n",
	}
}

func hookExample() *Hook {
	h := NewHook("", "")
	return &h
}

// outerTable shows keys that the environment can set.
func outerTable(list []row) string {
	var b strings.Builder
	b.WriteString("| key | takes | default | environment | meaning |\n|---|---|---|---|---|\n")
	for _, r := range list {
		env := code(Key{Name: r.key}.Env())
		if r.takes == "see below" {
			env = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.key, r.takes, code(r.value), env, r.doc)
	}
	return b.String()
}

// innerTable shows the keys of one entry, of which needed has to be there.
func innerTable(list []row, needed string) string {
	var b strings.Builder
	b.WriteString("| key | takes | default | meaning |\n|---|---|---|---|\n")
	for _, r := range list {
		value := code(r.value)
		if r.key == needed {
			value = "must be given"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.key, r.takes, value, r.doc)
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
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
