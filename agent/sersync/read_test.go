package sersync

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/tools/txtar"

	"syncagent/agent/config"
)

var update = flag.Bool("update", false, "write what is wanted anew")

// TestParity: each file of testdata/sersync holds one or several XML files, and
// what they come to: the findings, and what differs from the defaults.
func TestParity(t *testing.T) {
	files, err := filepath.Glob("../../testdata/sersync/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { parity(t, file) })
	}
}

func parity(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	want, at := "", -1
	for i, f := range ar.Files {
		if f.Name == "want" {
			want, at = string(f.Data), i
			continue
		}
		sources = append(sources, Source{f.Name, f.Data})
	}
	got := verdict(t, sources, optionsOf(string(ar.Comment)))
	if *update {
		if at < 0 {
			at, ar.Files = len(ar.Files), append(ar.Files, txtar.File{Name: "want"})
		}
		ar.Files[at].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// optionsOf reads a line "-m PLUGIN" above the files.
func optionsOf(comment string) Options {
	for line := range strings.Lines(comment) {
		if name, ok := strings.CutPrefix(line, "-m "); ok {
			return Options{Plugin: strings.TrimSpace(name)}
		}
	}
	return Options{}
}

// verdict is what import prints, without the lines of the defaults.
func verdict(t *testing.T, sources []Source, opt Options) string {
	t.Helper()
	in, err := Read(sources, opt)
	var b strings.Builder
	for _, f := range in.Findings {
		b.WriteString(f.String() + "\n")
	}
	if err != nil {
		return b.String() + err.Error() + "\n"
	}
	text, err := in.Master.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.DecodeMaster("agent.yaml", text)
	if err != nil {
		return b.String() + string(text) + err.Error() + "\n"
	}
	if err := again.Validate(nil); err != nil {
		b.WriteString(err.Error() + "\n")
	}
	second, err := again.Encode()
	if err != nil || string(second) != string(text) {
		t.Errorf("what is imported does not round-trip: %v\n%s\nbecame\n%s", err, text, second)
	}
	plain, err := config.NewMaster().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(string(plain), line) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func shipped(t testing.TB) string {
	t.Helper()
	ar, err := txtar.ParseFile("../../testdata/sersync/shipped.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return string(ar.Files[0].Data)
}

// The file declares ISO-8859-1 and is written in anything.
func TestEncodings(t *testing.T) {
	utf8 := strings.ReplaceAll(shipped(t), "(.*)\\.gz", "图片/.*")
	utf8 = strings.ReplaceAll(utf8, `<filter start="false">`+"\n\t<exclude", `<filter start="true">过滤 & < 的文字`+"\n\t<exclude")
	utf8 = strings.ReplaceAll(utf8, " & <", "")
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(utf8)
	if err != nil {
		t.Fatal(err)
	}
	want := verdict(t, []Source{{"a.xml", []byte(utf8)}}, Options{})
	if !strings.Contains(want, "图片/.*") {
		t.Fatalf("the expression is lost:\n%s", want)
	}
	for name, data := range map[string]string{"gbk": gbk, "bom": "\ufeff" + utf8, "crlf": strings.ReplaceAll(utf8, "\n", "\r\n")} {
		if got := verdict(t, []Source{{"a.xml", []byte(data)}}, Options{}); got != want {
			t.Errorf("%s: got:\n%s\nwant:\n%s", name, got, want)
		}
	}
	if got := verdict(t, []Source{{"a.xml", []byte(strings.ReplaceAll(shipped(t), "(.*)\\.gz", "caf\xe9"))}}, Options{}); strings.Contains(got, "XML") {
		t.Errorf("latin 1: %s", got)
	}
}

// TestEveryPartMayBeMissing: the original crashed on each of them.
func TestEveryPartMayBeMissing(t *testing.T) {
	whole := strings.Split(shipped(t), "\n")
	for i, line := range whole {
		if strings.Contains(line, "head") || strings.Contains(line, "localpath") || !strings.Contains(line, "<") {
			continue
		}
		rest := strings.Join(append(whole[:i:i], whole[i+1:]...), "\n")
		_, err := Read([]Source{{"a.xml", []byte(rest)}}, Options{})
		single := strings.Contains(line, "/>") || strings.Contains(line, "</") && strings.Count(line, "<") == 2
		if err != nil && single && !strings.Contains(line, "<remote ip=\"127") {
			t.Errorf("without %q: %v", line, err)
		}
	}
}

// everyFile is every XML file of the test data.
func everyFile(t testing.TB) [][]byte {
	t.Helper()
	cases, err := filepath.Glob("../../testdata/sersync/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	var all [][]byte
	for _, name := range cases {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range ar.Files {
			if filepath.Ext(x.Name) == ".xml" {
				all = append(all, x.Data)
			}
		}
	}
	return all
}

// placed holds that an error tells of the files, not of what they were to become.
func placed(t *testing.T, err error) {
	t.Helper()
	var faults config.Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	for _, f := range faults {
		if !strings.Contains(f.File, ".xml") || strings.Contains(f.Error(), "agent.yaml:") || strings.Contains(f.Error(), "\n") {
			t.Errorf("%v", f)
		}
	}
}

// TestHostileFiles: a file that is made to hurt costs an error, with its place.
func TestHostileFiles(t *testing.T) {
	const body = `<sersync><localpath watch="/a"><remote ip="h" name="m"/></localpath></sersync>`
	laughs := `<!DOCTYPE head [<!ENTITY a "ha">` + strings.Repeat(`<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">`, 20) + `]>`
	tests := map[string]struct{ text, want string }{
		"large":        {"<head>" + strings.Repeat(" ", 10<<20) + body + "</head>", "bytes"},
		"deep":         {strings.Repeat("<head>", 100_000), "too many elements"},
		"wide":         {"<head>" + strings.Repeat("<a/>", 100_000), "too many elements"},
		"laughs":       {laughs + "<head>" + strings.Replace(body, "/a", "/&b;", 1) + "</head>", ""},
		"NULs":         {"<head>" + strings.ReplaceAll(body, " ", "\x00 ") + "\x00</head>\x00", ""},
		"NULs inside":  {"<head>" + strings.Replace(body, "/a", "/a\x00b", 1) + "</head>", ""},
		"only NULs":    {strings.Repeat("\x00", 1000), "<head>"},
		"attributes":   {"<head " + strings.Repeat(`a="b" `, 100_000) + ">" + body + "</head>", "too many elements"},
		"UTF-16":       {"\xff\xfe<\x00h\x00e\x00a\x00d\x00>\x00", "XML"},
		"unclosed":     {"<head><!--" + body, "XML"},
		"no root":      {body, "<head>"},
		"empty":        {"", "<head>"},
		"names":        {"<head>" + strings.NewReplacer(`"m"`, `"../../etc"`, `"h"`, `"-oProxyCommand=x"`).Replace(body) + "</head>", "host"},
		"line breaks":  {"<head>" + strings.Replace(body, "/a", "/a\n/b", 1) + "</head>", "control character"},
		"every switch": {strings.ReplaceAll(shipped(t), `"false"`, `"true"`), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in, err := Read([]Source{{"a.xml", []byte(tt.text)}}, Options{})
			if err != nil {
				placed(t, err)
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%.300v", err)
			}
			if len(in.Findings) > 2*maxElements {
				t.Errorf("%d findings", len(in.Findings))
			}
		})
	}
}

// TestReadIsBounded: of a file without an end no more is read than shows that it is
// too large.
func TestReadIsBounded(t *testing.T) {
	if _, err := ReadFiles([]string{"/dev/zero"}, Options{}); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("%v", err)
	}
	if Debug([]string{"/dev/zero", t.TempDir(), "does-not-exist"}) {
		t.Error("asks for the log of commands")
	}
}

// FuzzRead: whatever is taken comes to a configuration that is valid; what is not
// has an error of this file.
func FuzzRead(f *testing.F) {
	f.Add([]byte(shipped(f)))
	f.Add([]byte(`<head><sersync><localpath watch="/a"><remote ip="h" name="m/d"/></localpath></sersync></head>`))
	f.Add([]byte("<head><!-- -- "))
	for _, data := range everyFile(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := Read([]Source{{"a.xml", data}, {"b.xml", data}}, Options{})
		if err != nil {
			placed(t, err)
			return
		}
		text, err := in.Master.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.DecodeMaster("agent.yaml", text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}

// TestEveryPartIsInTheGuides: both tables of the migration guides name each element
// and attribute that is read.
func TestEveryPartIsInTheGuides(t *testing.T) {
	for _, file := range []string{"migrate-from-sersync.md", "migrate-from-sersync.zh.md"} {
		text, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		words := map[string]bool{}
		for _, code := range regexp.MustCompile("`[^`\n]+`").FindAllString(string(text), -1) {
			for _, word := range strings.FieldsFunc(code, func(r rune) bool { return !unicode.IsLetter(r) }) {
				words[word] = true
			}
		}
		for at, attrs := range known() {
			for _, word := range append(strings.Split(at, "/"), strings.Fields(attrs)...) {
				if !words[word] {
					t.Errorf("docs/%s does not name %s of %s", file, word, at)
				}
			}
		}
	}
}
