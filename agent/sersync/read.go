package sersync

import (
	"fmt"
	"io"
	"os"
)

// maxFile bounds a file in bytes.
const maxFile = 1 << 20

// Source is one file by name and content.
type Source struct {
	Name string
	Data []byte
}

// Options is what sersync was told beside its files.
type Options struct {
	// Plugin is that of -m: nothing is sent, the plugin alone runs. "" runs sersync.
	Plugin string
}

// Plugins are the names that Options.Plugin takes.
func Plugins() []string { return []string{"command", "socket", "http", "refreshCDN"} }

// ReadFiles reads files; see Read.
func ReadFiles(names []string, opt Options) (Import, error) {
	var list []Source
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			return Import{}, fmt.Errorf("read sersync's configuration: %w", err)
		}
		list = append(list, Source{name, data})
	}
	return Read(list, opt)
}

// readFile reads no more than what shows that a file is too large.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// Read makes one configuration of several files, as if each had an instance of
// sersync. State and socket are the defaults of a master, which the caller may
// change. The error is config.Faults, with the lines of the files; the findings are
// there also then.
func Read(files []Source, opt Options) (Import, error) {
	b := newBuilder()
	err := b.read(files, opt)
	if err == nil && len(b.faults) > 0 {
		err = b.faults
	}
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return Import{Findings: b.Findings}, err
	}
	return b.Import, nil
}

func (b *builder) read(files []Source, opt Options) error {
	for _, f := range files {
		if len(f.Data) > maxFile {
			return fault(f.Name, 0, fmt.Sprintf("has more than %d bytes", maxFile), "is it the right file?")
		}
		doc, err := parse(f.Name, decodeText(f.Data))
		if err != nil {
			return err
		}
		head := doc.first("head")
		if head == nil || opt.Plugin == "" && head.first("sersync", "localpath") == nil {
			return fault(f.Name, head.at(), "has no <head> with <sersync> and <localpath watch=...> in it", "is it a confxml.xml?")
		}
		b.file, b.hooks = f.Name, 0
		b.files = append(b.files, f.Name)
		b.unknown("", doc, known())
		if opt.Plugin != "" {
			b.pluginAlone(head, opt.Plugin)
			continue
		}
		b.instance(head)
	}
	return nil
}

// Debug reports whether one of the files asks for the log of every command. A
// file that cannot be read asks for nothing; reading it for good says why.
func Debug(names []string) bool {
	for _, name := range names {
		data, err := readFile(name)
		if err != nil || len(data) > maxFile {
			continue
		}
		if doc, err := parse(name, decodeText(data)); err == nil && doc.first("head", "debug").on() {
			return true
		}
	}
	return false
}
