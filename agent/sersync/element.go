package sersync

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"syncagent/agent/config"
)

// element is one element of the file. A nil *element is an absent one: it has
// no attributes and no children.
type element struct {
	name     string
	line     int
	attrs    []attribute
	children []*element
}

type attribute struct{ name, value string }

// maxDepth and maxElements, with their attributes, bound what a hostile file can cost.
const (
	maxDepth    = 32
	maxElements = 20_000
)

// parse reads text into a tree. Its root stands for the document.
func parse(file, text string) (*element, error) {
	text = blank(text)
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = false
	root := &element{}
	open := []*element{root}
	for n := 0; ; {
		token, err := d.Token()
		line, _ := d.InputPos()
		switch {
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, fault(file, line, "is not XML: "+reason(err), "mend it there or just above")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if n += 1 + len(t.Attr); len(open) > maxDepth || n > maxElements {
				return nil, fault(file, line, "holds too many elements", "is it the right file?")
			}
			e := newElement(t, line)
			top := open[len(open)-1]
			top.children = append(top.children, e)
			open = append(open, e)
		case xml.EndElement:
			if len(open) > 1 {
				open = open[:len(open)-1]
			}
		}
	}
}

func newElement(t xml.StartElement, line int) *element {
	e := &element{name: t.Name.Local, line: line}
	for _, a := range t.Attr {
		e.attrs = append(e.attrs, attribute{a.Name.Local, a.Value})
	}
	return e
}

func fault(file string, line int, problem, hint string) error {
	return config.Faults{&config.Fault{File: file, Line: line, Problem: problem, Hint: hint}}
}

func reason(err error) string {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Msg
	}
	return err.Error()
}

// all returns the children of a name.
func (e *element) all(name string) []*element {
	var list []*element
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.name == name {
			list = append(list, c)
		}
	}
	return list
}

// first returns the first child along a path of names, nil if there is none.
func (e *element) first(names ...string) *element {
	for _, name := range names {
		list := e.all(name)
		if len(list) == 0 {
			return nil
		}
		e = list[0]
	}
	return e
}

// attr returns an attribute without white space around it, "" when absent.
func (e *element) attr(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.name == name {
			return strings.TrimSpace(a.value)
		}
	}
	return ""
}

// on reports whether start is the word true, the only one that the original
// takes.
func (e *element) on() bool { return e.attr("start") == "true" }

// at is the line of an element, 0 of an absent one.
func (e *element) at() int {
	if e == nil {
		return 0
	}
	return e.line
}

// says is the element with one attribute, for messages.
func (e *element) says(attr string) string {
	return fmt.Sprintf("<%s %s=%q>", e.name, attr, e.attr(attr))
}
