package rsyncd

import "fmt"

// ParseError says what in a file the daemon would misread, ignore or refuse.
type ParseError struct {
	Line int // 1-based
	Msg  string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
}

// globalSection switches the daemon back to parameters for all modules.
const globalSection = "global"

// Parse reads a file as the daemon does (params.c, loadparm.c), but where the
// daemon would go on with less than the file says it fails with a *ParseError:
// lines it cannot read, values of the wrong type, a module opened twice,
// daemon-wide parameters inside a module, directives that read other files.
// Parameters that have no field here are kept, known to the daemon or not.
//
// For every Conf that Validate accepts, Parse(c.Render()) equals c.
func Parse(b []byte) (Conf, error) {
	s, err := newScanner(b)
	if err != nil {
		return Conf{}, err
	}
	p := parser{conf: NewConf(), defaults: NewModule("", "")}
	for {
		t, err := s.next()
		if err != nil {
			return Conf{}, err
		}
		switch t.kind {
		case tokenEnd:
			return p.conf, nil
		case tokenSection:
			err = p.open(t)
		case tokenParam:
			err = p.set(t)
		}
		if err != nil {
			return Conf{}, err
		}
	}
}

type parser struct {
	conf     Conf
	defaults Module
	opened   []int // the line of each module
}

func (p *parser) open(t token) error {
	if canonical(t.name) == globalSection {
		if len(p.conf.Modules) > 0 {
			return &ParseError{t.line, "[global] after a module changes only what follows: move it to the top"}
		}
		return nil
	}
	for i, m := range p.conf.Modules {
		if canonical(m.Name) == canonical(t.name) {
			return &ParseError{t.line, fmt.Sprintf(
				"module [%s] is there already, on line %d: the daemon would merge the two", t.name, p.opened[i])}
		}
	}
	m := p.defaults
	m.Name = t.name
	p.conf.Modules = append(p.conf.Modules, m)
	p.opened = append(p.opened, t.line)
	return nil
}

func (p *parser) set(t token) error {
	if n := len(p.conf.Modules); n > 0 {
		return p.setIn(&p.conf.Modules[n-1], t)
	}
	known := false
	for _, params := range [][]param{p.conf.params(), p.defaults.params()} {
		if f, ok := find(params, t.name); ok {
			known = true
			if err := t.into(f); err != nil {
				return err
			}
		}
	}
	if !known {
		p.conf.Extra = append(p.conf.Extra, Param{t.name, t.value})
	}
	return nil
}

func (p *parser) setIn(m *Module, t token) error {
	if f, ok := find(m.params(), t.name); ok {
		return t.into(f)
	}
	if isGlobal(t.name) {
		return &ParseError{t.line, fmt.Sprintf(
			"%q does nothing inside module [%s]: move it above the first module", t.name, m.Name)}
	}
	m.Extra = append(m.Extra, Param{t.name, t.value})
	return nil
}

func (t token) into(f param) error {
	if err := f.parse(t.value); err != nil {
		return &ParseError{t.line, fmt.Sprintf("%s = %s: %s", f.name, t.value, err)}
	}
	return nil
}
