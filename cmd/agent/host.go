package main

import (
	"path/filepath"

	"syncagent/agent/config"
)

// hostOf is this machine as a configuration is checked against it. The secret
// file in writing may still be missing: the same run writes it.
func hostOf(configFile, writing string) *config.Host {
	h := config.LocalHost(filepath.Join(filepath.Dir(configFile), filepath.Base(config.DefaultPaths(config.RoleSlave, "").Config)))
	if writing != "" {
		h.Files = filesBut{h.Files, writing}
	}
	return h
}

type filesBut struct {
	config.Files
	path string
}

// Password implements config.Files.
func (f filesBut) Password(path string) error {
	if path == f.path {
		return nil
	}
	return f.Files.Password(path)
}

// Secrets implements config.Files.
func (f filesBut) Secrets(path, user string) error {
	if path == f.path {
		return nil
	}
	return f.Files.Secrets(path, user)
}
