package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "syncagent"

// everything stands for all our packages but commands and those of tests.
const everything = "*"

// mayImport says which of ours each package may import. Imports point down;
// what two packages share goes into one below both. A package that is not in
// the table fails the test: decide first where it stands.
func mayImport() map[string]string {
	return map[string]string{
		"agent/tree":      "",
		"agent/status":    "",
		"agent/provision": "",
		"agent/proc":      "",
		"agent/manifest":  "",
		"agent/chaostest": "",
		"secrets":         "",
		"rsyncd":          "",
		"rsyncd/badline":  "",

		"agent/filter":     "agent/tree",
		"agent/watch":      "agent/tree",
		"agent/journal":    "agent/tree",
		"agent/root":       "agent/tree",
		"agent/rsync":      "agent/tree agent/proc",
		"agent/hook":       "agent/tree agent/proc secrets",
		"agent/config":     "agent/filter agent/tree secrets",
		"agent/sersync":    "agent/config agent/filter secrets",
		"rsyncd/supervise": "agent/proc",
		"rsyncd/probe":     "rsyncd",
		"rsyncd/sessions":  "agent/proc",

		"rsyncd/rsyncdtest": "rsyncd secrets agent/tree agent/manifest",

		"agent/doctor": "agent/config agent/rsync agent/watch agent/root agent/tree secrets rsyncd rsyncd/probe",
		"agent":        everything,
		"cmd/agent":    everything,
		"cmd/bench":    everything,
		"cmd/lab":      "",
	}
}

// testOnly are the packages that no program may contain.
func testOnly(pkg string) bool { return pkg == "rsyncd/rsyncdtest" }

// maxDepth is the number of packages on the longest way down, the command
// included.
const maxDepth = 5

// goFile is one parsed file of the repository.
type goFile struct {
	name string // below the repository's root
	pkg  string // its directory
	test bool
	ast  *ast.File
}

// imports returns the import paths of a file.
func (f goFile) imports() []string {
	var list []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser took it
		list = append(list, p)
	}
	return list
}

// goFiles parses every file of the repository, whatever its build tags.
func goFiles(t *testing.T) (*token.FileSet, []goFile) {
	t.Helper()
	root := filepath.Join("..", "..")
	fset, files := token.NewFileSet(), []goFile{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case filepath.Ext(p) != ".go":
			return nil
		}
		parsed, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		files = append(files, goFile{name, path.Dir(name), strings.HasSuffix(p, "_test.go"), parsed})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files: the walk does not see the repository", len(files))
	}
	return fset, files
}

// graph maps each of our packages to those of ours that its program files
// import.
func graph(files []goFile) map[string][]string {
	g := map[string][]string{}
	for _, f := range files {
		if f.test {
			continue
		}
		g[f.pkg] = append(g[f.pkg], nil...)
		for _, p := range f.imports() {
			if ours, ok := strings.CutPrefix(p, modulePath+"/"); ok && !slices.Contains(g[f.pkg], ours) {
				g[f.pkg] = append(g[f.pkg], ours)
			}
		}
	}
	return g
}

func TestImportsPointDown(t *testing.T) {
	_, files := goFiles(t)
	table, g := mayImport(), graph(files)
	for pkg := range maps.Keys(table) {
		if _, there := g[pkg]; !there {
			t.Errorf("the table names %s, which is not there", pkg)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(g)) {
		allowed, known := table[pkg]
		if !known {
			t.Errorf("%s is not in the table", pkg)
		}
		for _, p := range g[pkg] {
			if !allows(allowed, p) {
				t.Errorf("%s imports %s; it may import only: %s", pkg, p, allowed)
			}
		}
	}
}

func allows(allowed, pkg string) bool {
	if allowed == everything {
		return !strings.HasPrefix(pkg, "cmd/") && !testOnly(pkg)
	}
	return slices.Contains(strings.Fields(allowed), pkg)
}

// TestProgramsHoldNoTestPackages: a harness that starts daemons and changes
// trees at random has no place in what users run.
func TestProgramsHoldNoTestPackages(t *testing.T) {
	_, files := goFiles(t)
	for _, f := range files {
		for _, p := range f.imports() {
			if testOnly(strings.TrimPrefix(p, modulePath+"/")) && !f.test {
				t.Errorf("%s imports %s, which is for tests only", f.name, p)
			}
			if p == "testing" && !f.test && !testOnly(f.pkg) {
				t.Errorf("%s imports testing", f.name)
			}
		}
	}
}

func TestImportDepth(t *testing.T) {
	_, files := goFiles(t)
	g := graph(files)
	depths := map[string]int{}
	var depth func(pkg string) int
	depth = func(pkg string) int {
		if d, known := depths[pkg]; known {
			return d
		}
		d := 0
		for _, p := range g[pkg] {
			d = max(d, depth(p))
		}
		depths[pkg] = d + 1
		return d + 1
	}
	for pkg := range g {
		if d := depth(pkg); d > maxDepth {
			t.Errorf("%d packages stand above each other below %s, at most %d may", d, pkg, maxDepth)
		}
	}
}

// TestViperStaysInTheCommand: viper lower-cases keys and splits names at dots,
// which only flags and environment survive.
func TestViperStaysInTheCommand(t *testing.T) {
	_, files := goFiles(t)
	used := false
	for _, f := range files {
		for _, p := range f.imports() {
			if !strings.HasPrefix(p, "github.com/spf13/viper") {
				continue
			}
			if used = true; f.pkg != "cmd/agent" {
				t.Errorf("%s imports %s", f.name, p)
			}
		}
	}
	if !used {
		t.Error("nothing imports viper: this test is not needed any more")
	}
}

// TestNothingHappensBehindTheBack: programs have no init functions and do not
// panic.
func TestNothingHappensBehindTheBack(t *testing.T) {
	fset, files := goFiles(t)
	for _, f := range files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: an init function", fset.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "panic" {
					t.Errorf("%s: panics", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}
