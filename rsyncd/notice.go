package rsyncd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// noticeMark begins each line in which a receiver tells of itself.
const noticeMark = "syncagent "

// Notice is what a receiver of ours tells every master in its daemon's message of
// the day, which anybody sees who can connect: it holds no name and no path. A
// foreign daemon tells nothing.
//
// Its lines are
//
//	syncagent links=kept|munged owners=kept|lost boot=HEX
//	syncagent module=KEY:PLACE ... out=KEY ...
//
// where KEY stands for a module's name and PLACE for the directory behind it.
type Notice struct {
	Links, Owners string // "" where nothing is told
	// Boot is another one after the slave's host was started anew.
	Boot string
	// Modules are by Key.
	Modules map[string]ModuleNotice
}

// ModuleNotice is what a Notice holds of one module.
type ModuleNotice struct {
	Place string // another one when another directory is served
	Out   bool   // out of service
}

// Key stands for a module's name.
func (Notice) Key(module string) string { return Opaque("module", module)[:8] }

// Opaque is a short digest that tells one list of texts from another.
func Opaque(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// noticeFields is how many fields stand on a line: a reader may cut long ones.
const noticeFields = 10

// Render returns the text for the daemon's "motd file".
func (n Notice) Render() []byte {
	var fields []string
	keys := make([]string, 0, len(n.Modules))
	for k := range n.Modules {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		m := n.Modules[k]
		fields = append(fields, "module="+k+":"+m.Place)
		if m.Out {
			fields = append(fields, "out="+k)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%slinks=%s owners=%s boot=%s\n", noticeMark, n.Links, n.Owners, n.Boot)
	for line := range slices.Chunk(fields, noticeFields) {
		b.WriteString(noticeMark + strings.Join(line, " ") + "\n")
	}
	return []byte(b.String())
}

// ParseNotice finds what a receiver of ours says in the daemon's message of the
// day. What it does not know it passes over; ours is false for a foreign daemon.
func ParseNotice(motd []string) (n Notice, ours bool) {
	n.Modules = map[string]ModuleNotice{}
	for _, line := range motd {
		rest, marked := strings.CutPrefix(line, noticeMark)
		if !marked {
			continue
		}
		ours = true
		for _, field := range strings.Fields(rest) {
			n.take(strings.Cut(field, "="))
		}
	}
	return n, ours
}

func (n *Notice) take(key, value string, _ bool) {
	switch key {
	case "links":
		n.Links = value
	case "owners":
		n.Owners = value
	case "boot":
		n.Boot = value
	case "module":
		k, place, _ := strings.Cut(value, ":")
		m := n.Modules[k]
		m.Place = place
		n.Modules[k] = m
	case "out":
		m := n.Modules[value]
		m.Out = true
		n.Modules[value] = m
	}
}
