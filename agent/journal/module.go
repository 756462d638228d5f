package journal

import (
	"encoding/json"
	"fmt"
)

type moduleHead struct {
	Module   text            `json:"module"`
	Identity json.RawMessage `json:"identity,omitempty"`
	Entries  int64           `json:"entries"`
	Path     text            `json:"path"`
	Filter   []text          `json:"filter,omitempty"`
	Machine  text            `json:"machine,omitempty"`
}

// LoadModule returns the record of a module; errors as for LoadTarget.
func (s *Store) LoadModule(module string) (Module, error) {
	name, err := moduleName(module)
	if err != nil {
		return Module{}, err
	}
	var rec Module
	err = s.load(name, func(data []byte) error {
		rec, err = decodeModule(data, module)
		return err
	})
	if err != nil {
		return Module{}, err
	}
	return rec, nil
}

// SaveModule replaces the record of a module. When it fails the old one stays.
func (s *Store) SaveModule(module string, rec Module) error {
	name, err := moduleName(module)
	if err != nil {
		return err
	}
	data, err := encodeModule(rec, module)
	if err != nil {
		return fmt.Errorf("save journal of module %q: %w", module, err)
	}
	return s.save(name, data)
}

func encodeModule(rec Module, module string) ([]byte, error) {
	head := moduleHead{Module: text(module), Identity: rec.Identity, Entries: rec.Entries, Path: text(rec.Path), Machine: text(rec.Machine)}
	for _, rule := range rec.Filter {
		head.Filter = append(head.Filter, text(rule))
	}
	return encode(kindModule, head)
}

func decodeModule(data []byte, module string) (Module, error) {
	var head moduleHead
	rest, err := decode(data, kindModule, &head)
	if err != nil {
		return Module{}, err
	}
	if len(rest) > 0 {
		return Module{}, fmt.Errorf("%w: %d bytes too many", errFormat, len(rest))
	}
	if string(head.Module) != module {
		return Module{}, fmt.Errorf("it is about module %q", head.Module)
	}
	rec := Module{Identity: head.Identity, Entries: head.Entries, Path: string(head.Path), Machine: string(head.Machine)}
	for _, rule := range head.Filter {
		rec.Filter = append(rec.Filter, string(rule))
	}
	return rec, nil
}
