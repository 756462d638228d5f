package manifest

import (
	"fmt"
	"strings"
	"time"
)

// Difference is one path at which two trees differ.
type Difference struct {
	Path string
	// What is wrong in the second tree: missing, extra, or the fields that
	// differ with both values.
	What string
}

func (d Difference) String() string { return fmt.Sprintf("%q: %s", d.Path, d.What) }

// Diff names every path at which b differs from a, in the order of paths. Both
// have to be read with the same Options.
func Diff(a, b Manifest) []Difference {
	var out []Difference
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Path < b[0].Path:
			out = append(out, Difference{a[0].Path, "missing, was " + a[0].String()})
			a = a[1:]
		case len(a) == 0 || b[0].Path < a[0].Path:
			out = append(out, Difference{b[0].Path, "extra, is " + b[0].String()})
			b = b[1:]
		default:
			if what := compare(a[0], b[0]); what != "" {
				out = append(out, Difference{a[0].Path, what})
			}
			a, b = a[1:], b[1:]
		}
	}
	return out
}

func compare(a, b Entry) string {
	if a == b {
		return ""
	}
	if a.Type != b.Type {
		return fmt.Sprintf("want %s, is %s", a, b)
	}
	var d []string
	field := func(name string, differs bool, x, y any) {
		if differs {
			d = append(d, fmt.Sprintf("%s %v, is %v", name, x, y))
		}
	}
	field("mode", a.Mode != b.Mode, fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", b.Mode))
	field("owner", a.UID != b.UID || a.GID != b.GID, fmt.Sprintf("%d:%d", a.UID, a.GID), fmt.Sprintf("%d:%d", b.UID, b.GID))
	field("size", a.Size != b.Size, a.Size, b.Size)
	field("content", a.Sum != b.Sum, fmt.Sprintf("%x", a.Sum[:4]), fmt.Sprintf("%x", b.Sum[:4]))
	field("time", a.MtimeNs != b.MtimeNs, stamp(a.MtimeNs), stamp(b.MtimeNs))
	field("target", a.Link != b.Link, fmt.Sprintf("%q", a.Link), fmt.Sprintf("%q", b.Link))
	field("device", a.Rdev != b.Rdev, a.Rdev, b.Rdev)
	field("hard link", a.LinkedTo != b.LinkedTo, fmt.Sprintf("%q", a.LinkedTo), fmt.Sprintf("%q", b.LinkedTo))
	return "want " + strings.Join(d, "; want ")
}

func stamp(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}
