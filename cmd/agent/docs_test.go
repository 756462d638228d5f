package main

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsNameTestsThatExist: a promise whose test is gone is no promise.
func TestDocsNameTestsThatExist(t *testing.T) {
	text := readDoc(t, "docs/reliability.md")
	_, files := goFiles(t)
	tests := map[string]bool{}
	for _, f := range files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test {
				tests[fn.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`(Test\\w+|\\w+\\.txtar)`").FindAllStringSubmatch(text, -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, m := range named {
		name := m[1]
		switch {
		case name == "TestName" || name == "name.txtar": // how to read the page
		case strings.HasSuffix(name, ".txtar"):
			if _, err := os.Stat(filepath.Join("..", "..", "testdata", "script", name)); err != nil {
				t.Errorf("no script %s", name)
			}
		case !tests[name]:
			t.Errorf("no test %s", name)
		}
	}
}

// TestDocsPromiseNamesItsTests: in what the page promises, every sentence names the
// test or the case of the fault suite that holds it, or says that none does.
func TestDocsPromiseNamesItsTests(t *testing.T) {
	held := regexp.MustCompile("`(Test\\w+|\\w+\\.txtar)`|\\(not tested\\)")
	cases := chaosCases(t)
	end := regexp.MustCompile(`\.(?:\s|$)`)
	sections := 0
	for _, section := range strings.Split(readDoc(t, "docs/reliability.md"), "\n## ") {
		title, text, _ := strings.Cut(section, "\n")
		switch title {
		case "The promise", "After a crash", "One gate for every delete", "The slave's side":
			sections++
		default:
			continue
		}
		text = regexp.MustCompile(`(?m)^\d+\. |\|`).ReplaceAllString(text, "") // numbers of a list, a table's lines
		from := 0
		for _, at := range end.FindAllStringIndex(text, -1) {
			sentence := text[from:at[0]]
			from = at[1]
			if !held.MatchString(sentence) && !slices.ContainsFunc(cases, func(c string) bool { return strings.Contains(sentence, "`"+c+"`") }) {
				t.Errorf("%s: no test is named for %q", title, strings.Join(strings.Fields(sentence), " "))
			}
		}
	}
	if sections != 4 {
		t.Errorf("%d of 4 sections were found", sections)
	}
}

// chaosCases names the cases of the fault suite.
func chaosCases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../agent/chaostest/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bname:\s+"(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 50 {
		t.Fatalf("%d cases of the fault suite were found", len(names))
	}
	return names
}

// TestDocsLinks: what a page links to is there.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/configuration.md", "docs/reliability.md", "docs/operating.md", "docs/hooks.md", "docs/ansible.md", "roles/agent_install/README.md", "roles/agent_slave/README.md", "roles/agent_master/README.md"} {
		for _, m := range link.FindAllStringSubmatch(readDoc(t, page), -1) {
			to := filepath.Join(filepath.Dir(page), m[1])
			if _, err := os.Stat(filepath.Join("..", "..", to)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, to)
			}
		}
	}
}

// TestDocsTwins: both languages show the same commands, configuration and figures.
func TestDocsTwins(t *testing.T) {
	facts := regexp.MustCompile(`(?m)^    agent [a-z, ]+|\d[\d.,]* (?:m?s|[KM]iB)\b|\]\(docs/[a-z-]+\.?[a-z]*|^ +[a-z_]+: [^#\n]*`)
	list := func(page string) []string {
		found := facts.FindAllString(strings.ReplaceAll(readDoc(t, page), ".zh.md", ".md"), -1)
		for i := range found {
			found[i] = strings.TrimSpace(found[i])
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	english, chinese := list("README.md"), list("README.zh.md")
	if len(english) < 40 {
		t.Fatalf("only %d facts were found", len(english))
	}
	if !slices.Equal(english, chinese) {
		t.Errorf("README.md says %q\nREADME.zh.md says %q", english, chinese)
	}
}

// TestDocsCommands: each command that the pages show is one.
func TestDocsCommands(t *testing.T) {
	root := newApp(streams{}).command()
	shown := regexp.MustCompile("(?m)(?:^    |`)agent ([a-z]+(?: [a-z]+)?)")
	for _, page := range []string{"README.md", "README.zh.md", "docs/configuration.md", "docs/reliability.md", "docs/operating.md", "docs/hooks.md"} {
		found := shown.FindAllStringSubmatch(readDoc(t, page), -1)
		if len(found) == 0 {
			t.Errorf("%s shows no command", page)
		}
		for _, m := range found {
			words := strings.Fields(m[1])
			cmd, _, err := root.Find(words)
			if err != nil || !cmd.Runnable() || cmd == root && words[0] != "help" {
				t.Errorf("%s: agent %s is no command", page, m[1])
			}
		}
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
