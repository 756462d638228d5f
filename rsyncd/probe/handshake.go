package probe

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// The daemon's handshake is lines of text (clientserver.c, authenticate.c and
// compat.c of rsync): the daemon greets with its protocol version and, since
// 3.2.7, the digests it can compare; the client answers in kind and names a
// module; the daemon may send a challenge, which the client answers with its
// user name and base64, unpadded, of digest(password + challenge).

const greetingPrefix = "@RSYNCD: "

// digest names a hash as both sides call it.
type digest string

// digests in the order they are preferred.
func digests() []digest { return []digest{"sha512", "sha256", "sha1", "md5"} }

func (d digest) hash() hash.Hash {
	switch d {
	case "sha512":
		return sha512.New()
	case "sha256":
		return sha256.New()
	case "sha1":
		return sha1.New()
	}
	return md5.New()
}

func (d digest) response(password, challenge string) string {
	h := d.hash()
	h.Write([]byte(password))
	h.Write([]byte(challenge))
	return base64.RawStdEncoding.EncodeToString(h.Sum(nil))
}

type greeting struct {
	version string // like 32.0
	listed  bool   // the daemon named digests
	digest  digest
}

// parseGreeting takes the best digest that both sides know. A daemon that names
// none, which is one before 3.2.7, compares md5 from protocol 30 on.
func parseGreeting(line string) (greeting, error) {
	rest, ok := strings.CutPrefix(line, greetingPrefix)
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return greeting{}, fmt.Errorf("%.80q is no greeting of an rsync daemon", line)
	}
	g := greeting{version: fields[0], listed: len(fields) > 1, digest: "md5"}
	if !g.listed {
		return g, nil
	}
	i := slices.IndexFunc(digests(), func(d digest) bool { return slices.Contains(fields[1:], string(d)) })
	if i < 0 {
		return greeting{}, fmt.Errorf("the daemon compares none but %s", strings.Join(fields[1:], ", "))
	}
	g.digest = digests()[i]
	return g, nil
}

// reply offers the one digest we chose, so that nothing is left to negotiate.
func (g greeting) reply() string {
	if !g.listed {
		return greetingPrefix + g.version
	}
	return greetingPrefix + g.version + " " + string(g.digest)
}
