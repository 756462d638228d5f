package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// machineIDFile names the host, see machine-id(5).
const machineIDFile = "/etc/machine-id"

// ownState refuses a state directory that was copied to another machine: two
// masters that believe to be the same would undo each other's changes on every slave.
// The file in the state holds a hash, since machine-id(5) asks not to show the id.
// A host without an id is not told from others.
func ownState(file, idFile string) error {
	id, err := os.ReadFile(idFile)
	if id = bytes.TrimSpace(id); err != nil || len(id) == 0 {
		return nil
	}
	sum := sha256.Sum256(append([]byte("syncagent state "), id...))
	want := hex.EncodeToString(sum[:]) + "\n"
	got, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			return fmt.Errorf("note this machine in its state: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("read whose state it is: %w", err)
	case len(got) == len(want) && string(got) != want:
		return fmt.Errorf("the state was made on another machine (%s): if this is a clone, empty its state directory and give it targets of its own; "+
			"if it took the other's place and that one is off for good, remove this file", file)
	case string(got) != want: // torn by a crash: it says nothing
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			return fmt.Errorf("note this machine in its state: %w", err)
		}
	}
	return nil
}
