package hook

import (
	"strconv"
	"strings"
	"time"
)

// pathWords are the placeholders that mean one path.
func pathWords() []string { return []string{"{path}", "{rel}", "{op}", "{error}"} }

// ofPath reports whether one of the texts holds a placeholder of one path.
func ofPath(texts ...string) bool {
	for _, text := range texts {
		for _, w := range pathWords() {
			if strings.Contains(text, w) {
				return true
			}
		}
	}
	return false
}

// words are the values of the placeholders that every hook knows. Those of a
// path are there when the event has one path alone.
func words(e Event) map[string]string {
	w := map[string]string{
		"{module}": e.Module, "{root}": e.Root, "{target}": e.Target, "{result}": e.result(),
		"{count}": strconv.Itoa(len(e.Paths)), "{delivery}": e.delivery,
	}
	if s := e.State; s != nil {
		w["{state}"], w["{class}"], w["{error}"] = s.State, s.Class, s.Error
		w["{since}"] = s.Since.UTC().Format(time.RFC3339)
		w["{result}"] = ""
	}
	if len(e.Paths) == 1 {
		p := e.Paths[0]
		w["{path}"], w["{rel}"], w["{op}"], w["{error}"] = e.Abs(p.Path), string(p.Path), string(p.Op), p.Error
	}
	return w
}

// expand puts values in place of placeholders, in one pass, so that a name which
// looks like a placeholder stays as it is. escape, unless nil, makes a value fit
// for where it stands.
func expand(text string, values map[string]string, escape func(key, value string) string) string {
	pairs := make([]string, 0, 2*len(values))
	for key, v := range values {
		if escape != nil {
			v = escape(key, v)
		}
		pairs = append(pairs, key, v)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
