package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/agent/sersync"
)

// TestImportIsWhatRuns: for every confxml.xml there is, the modules that run -o
// runs are those that the files say, and those of the YAML that import prints,
// every setting, rule and target of them.
func TestImportIsWhatRuns(t *testing.T) {
	cases, err := filepath.Glob("../../testdata/sersync/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	compared := 0
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			files, opt := sersyncCase(t, name)
			direct, err := sersync.ReadFiles(files, opt)
			if err != nil {
				return // refused, as the golden file says
			}
			compared++
			run, _, _, err := readSersync(filepath.Join(t.TempDir(), "agent.yaml"), files, opt)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := newApp(streams{out: &out, err: new(bytes.Buffer)}).importSersync(files, opt); err != nil {
				t.Fatal(err)
			}
			imported, err := config.DecodeMaster("agent.yaml", out.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			sameModules(t, "run -o and the files", run, direct.Master)
			sameModules(t, "run -o and what is imported", run, imported, cmpopts.IgnoreFields(config.Hook{}, "Secret"))
		})
	}
	if compared < 6 {
		t.Errorf("only %d cases were compared", compared)
	}
}

// sersyncCase writes the XML files of a case; "-m PLUGIN" stands above them.
func sersyncCase(t *testing.T, name string) (files []string, opt sersync.Options) {
	t.Helper()
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range ar.Files {
		if filepath.Ext(f.Name) != ".xml" {
			continue
		}
		file := filepath.Join(dir, f.Name)
		if err := os.WriteFile(file, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for line := range strings.Lines(string(ar.Comment)) {
		if plugin, ok := strings.CutPrefix(line, "-m "); ok {
			opt.Plugin = strings.TrimSpace(plugin)
		}
	}
	return files, opt
}

func sameModules(t *testing.T, what string, a, b *config.Master, opts ...cmp.Option) {
	t.Helper()
	x, err := a.Modules()
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.Modules()
	if err != nil {
		t.Fatal(err)
	}
	opts = append(opts, cmp.Comparer(func(p, q *filter.Rules) bool { return p.Equal(q) }), cmpopts.EquateEmpty())
	if diff := cmp.Diff(x, y, opts...); diff != "" {
		t.Errorf("%s differ:\n%s", what, diff)
	}
	if a.Workers != b.Workers || a.Settings != b.Settings {
		t.Errorf("%s: settings of the top level differ:\n%s", what, cmp.Diff(a.Settings, b.Settings, opts...))
	}
}
