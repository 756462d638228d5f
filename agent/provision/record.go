package provision

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// record is what init.json holds. It is shared by all roles of a host, so
// entries of paths that are not wanted are kept.
type record struct {
	Schema int `json:"schema_version"`
	// Files has the hashes of what we wrote or were about to write.
	Files map[string][]string `json:"files"`
	// Owed has the services whose files changed and that were not told yet, by
	// service manager: a service that brings its own files in order, without a
	// manager, must not settle what systemd still owes to it.
	Owed map[string]map[string]owed `json:"owed"`
}

// owed is a reload, or a restart for the given reasons.
type owed struct {
	Restart bool     `json:"restart"`
	Reasons []string `json:"reasons"`
}

func newRecord() record {
	return record{Schema: 1, Files: map[string][]string{}, Owed: map[string]map[string]owed{}}
}

// parseRecord fails on anything it does not know, with an empty record.
func parseRecord(b []byte) (record, error) {
	r := newRecord()
	if err := json.Unmarshal(b, &r); err != nil {
		return newRecord(), err
	}
	if r.Schema != 1 || r.Files == nil || r.Owed == nil {
		return newRecord(), errRecordVersion
	}
	return r, nil
}

func (r record) encode() []byte {
	// A record holds nothing that cannot be marshalled.
	b, _ := json.MarshalIndent(r, "", " ")
	return append(b, '\n')
}

func (r record) equal(o record) bool { return bytes.Equal(r.encode(), o.encode()) }

func (r record) clone() record {
	out := record{Schema: r.Schema, Files: maps.Clone(r.Files), Owed: map[string]map[string]owed{}}
	for manager, services := range r.Owed {
		out.Owed[manager] = maps.Clone(services)
	}
	return out
}

func (r record) knows(path string, content []byte) bool {
	return slices.Contains(r.Files[path], hash(content))
}

// owe adds what a service needs; a restart outlasts a reload.
func (r record) owe(manager, service string, e Effect, reason string) {
	if service == "" || e == None {
		return
	}
	o := r.Owed[manager][service]
	if e == Restart {
		o.Restart = true
		if !slices.Contains(o.Reasons, reason) {
			o.Reasons = append(slices.Clone(o.Reasons), reason)
		}
	}
	if r.Owed[manager] == nil {
		r.Owed[manager] = map[string]owed{}
	}
	r.Owed[manager][service] = o
}

// settled returns the record without the given debts to services. One that
// changed meanwhile is another run's.
func (r record) settled(manager string, debts map[string]owed) record {
	out := r.clone()
	for service, o := range debts {
		if now := out.Owed[manager][service]; now.Restart == o.Restart && slices.Equal(now.Reasons, o.Reasons) {
			delete(out.Owed[manager], service)
		}
	}
	if len(out.Owed[manager]) == 0 {
		delete(out.Owed, manager)
	}
	return out
}

// intent is what must be on disk before the first file is replaced: the old
// hashes and the new ones, and everything that will be owed.
func (r record) intent(next record) record {
	out := r.clone()
	for path, hashes := range next.Files {
		known := slices.Clone(out.Files[path])
		for _, h := range hashes {
			if !slices.Contains(known, h) {
				known = append(known, h)
			}
		}
		out.Files[path] = known
	}
	out.Owed = next.Owed
	return out
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
