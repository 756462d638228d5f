package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A machine that was cloned with its state does not run on it.
func TestClonedStateIsRefused(t *testing.T) {
	dir := t.TempDir()
	file, id := filepath.Join(dir, "machine"), filepath.Join(dir, "machine-id")
	is := func(text string) {
		t.Helper()
		if err := os.WriteFile(id, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := ownState(file, id); err != nil {
		t.Errorf("without an id: %v", err)
	}
	is("abc\n")
	for range 2 {
		if err := ownState(file, id); err != nil {
			t.Errorf("the same machine: %v", err)
		}
	}
	is("def\n")
	if err := ownState(file, id); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("another machine: %v", err)
	}
	data, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(data), "abc") {
		t.Errorf("the id is shown: %q, %v", data, err)
	}
	if err := os.WriteFile(file, data[:7], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ownState(file, id); err != nil {
		t.Errorf("torn: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := ownState(file, id); err != nil {
		t.Errorf("after the remedy: %v", err)
	}
}
