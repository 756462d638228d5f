package rsyncd

import (
	"bytes"
	"fmt"
)

// header opens every rendered file. It holds nothing that differs between two
// calls or two hosts.
const header = `# Configuration of the rsync daemon run by syncagent. It is derived from the
# receiver's configuration and written anew: change it there, not here.
# The daemon reads it for every connection; only what stands above the first
# module needs a restart.
`

// Render writes the file. It is deterministic, and does not judge: call
// Validate before.
func (c Conf) Render() []byte {
	var b bytes.Buffer
	b.WriteString(header)
	b.WriteByte('\n')
	writeParams(&b, "", c.params(), c.Extra)
	for _, m := range c.Modules {
		fmt.Fprintf(&b, "\n[%s]\n", m.Name)
		writeParams(&b, "    ", m.params(), m.Extra)
	}
	return b.Bytes()
}

func writeParams(b *bytes.Buffer, indent string, params []param, extra []Param) {
	for _, p := range params {
		if v, ok := p.format(); ok {
			writeParam(b, indent, p.name, v)
		}
	}
	for _, e := range extra {
		writeParam(b, indent, e.Name, e.Value)
	}
}

func writeParam(b *bytes.Buffer, indent, name, value string) {
	b.WriteString(indent + name + " =")
	if value != "" {
		b.WriteString(" " + value)
	}
	b.WriteByte('\n')
}
