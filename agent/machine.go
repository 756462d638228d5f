package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
)

// machineIDFile names the host, see machine-id(5).
const machineIDFile = "/etc/machine-id"

// machineOf returns a name of the host that a module's journal keeps: two masters that
// believe to be the same would undo each other's changes on every slave. It is a hash,
// since machine-id(5) asks not to show the id, and "" where there is none, as in an image
// that has not been booted; such a host is not told from others.
func machineOf(idFile string) string {
	id, err := os.ReadFile(idFile)
	id = bytes.TrimSpace(id)
	if err != nil || len(id) == 0 || string(id) == "uninitialized" {
		return ""
	}
	sum := sha256.Sum256(append([]byte("syncagent state "), id...))
	return hex.EncodeToString(sum[:])
}

// foreign refuses a state that was made on another machine, also where
// root_change accepts any root. Needs the lock.
func (g *guard) foreign() string {
	if g.machine == "" || g.owner == "" || g.owner == g.machine {
		return ""
	}
	return fmt.Sprintf("the state of module %s was made on another machine: if this is a clone, stop the agent, empty its state_dir and give it targets of its own; "+
		"if it took the other's place and that one is off for good, accept it with \"agent approve --module %s\"", g.module, g.module)
}

// own notes this machine in a state that knows none. Needs the lock.
func (g *guard) own() error {
	if g.owner != "" || g.machine == "" {
		return nil
	}
	g.owner = g.machine
	if err := g.save(*g.known, g.entries); err != nil {
		g.owner = ""
		return g.unwritable(err)
	}
	return nil
}
