package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"syncagent/agent/root"
)

// identityDigest names what an approval accepts.
func identityDigest(module string, id root.Identity) string {
	raw, err := json.Marshal(id)
	if err != nil {
		return ""
	}
	return digest("root", module, string(raw))
}

// digest names a set of strings briefly.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
