package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryKeyIsRead: what a configuration may hold, some program acts on.
func TestEveryKeyIsRead(t *testing.T) {
	module, received := NewModule("", ""), NewReceiverModule("", "")
	read := selectors(t)
	for _, fields := range [][]field{
		masterFields(NewMaster()), moduleFields(&module), targetFields(&TargetSpec{}), hookFields(hookExample(), false), destFields(&ModuleDest{}),
		receiverFields(NewReceiver()), receivedFields(&received),
	} {
		for _, r := range rows("", fields) {
			if !isRead(r, read) {
				t.Errorf("no program reads the key %s", r.key)
			}
		}
	}
	if isRead(row{key: "nonsense"}, read) {
		t.Error("a key that does not exist is read")
	}
}

func isRead(r row, read map[string]bool) bool {
	name := strings.ReplaceAll(r.key, "_", "")
	group, _, _ := strings.Cut(name, ".")
	return r.takes == "see below" || read[name] || read[group] || read[strings.ReplaceAll(name, ".", "")]
}

// selectors returns in lower case what packages that know this one read: "warm"
// of x.Warm, "settle.quiet" of x.Settle.Quiet, and "settle" only where x.Settle
// is taken as a whole.
func selectors(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, files := range packages(t) {
		if slices.ContainsFunc(files, knowsConfig) {
			for _, f := range files {
				addSelectors(names, f)
			}
		}
	}
	return names
}

// packages parses the program's files, by their directories.
func packages(t *testing.T) map[string][]*ast.File {
	t.Helper()
	found := map[string][]*ast.File{}
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
		found[filepath.Dir(p)] = append(found[filepath.Dir(p)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func knowsConfig(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"syncagent/agent/config"` })
}

func addSelectors(names map[string]bool, f *ast.File) {
	imported := map[string]bool{}
	for _, spec := range f.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		imported[p[strings.LastIndex(p, "/")+1:]] = true
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
			if imported[x.Name] {
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
