package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// rawEvent makes an event as the kernel does.
func rawEvent(mask uint64, pid int32, records ...[]byte) []byte {
	ne := binary.NativeEndian
	info := bytes.Join(records, nil)
	raw := ne.AppendUint32(nil, uint32(fanMetaSize+len(info)))
	raw = append(raw, unix.FANOTIFY_METADATA_VERSION, 0)
	raw = ne.AppendUint16(raw, fanMetaSize)
	raw = ne.AppendUint64(raw, mask)
	raw = ne.AppendUint32(raw, ^uint32(0)) // FAN_NOFD
	raw = ne.AppendUint32(raw, uint32(pid))
	return append(raw, info...)
}

// rawName makes the record of a name in a directory.
func rawName(kind byte, handleType int32, handle, name string) []byte {
	ne := binary.NativeEndian
	raw := append([]byte{kind, 0, 0, 0}, "--fsid--"...)
	raw = ne.AppendUint32(raw, uint32(len(handle)))
	raw = ne.AppendUint32(raw, uint32(handleType))
	raw = append(raw, handle...)
	if name != "" {
		raw = append(append(raw, name...), 0)
	}
	for len(raw)%4 != 0 {
		raw = append(raw, 0)
	}
	ne.PutUint16(raw[2:], uint16(len(raw)))
	return raw
}

func TestDecode(t *testing.T) {
	const dfid, oldName, newName = unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME
	dir := func(s string) []byte { return append(binary.NativeEndian.AppendUint32(nil, 1), s...) }
	is := func(n fanName, d, name string) bool {
		return bytes.Equal(n.dir, dir(d)) && string(n.name) == name
	}
	buf := bytes.Join([][]byte{
		rawEvent(unix.FAN_CREATE, 7, rawName(dfid, 1, "12345678", "a\nb")),
		rawEvent(unix.FAN_RENAME, 8, rawName(oldName, 1, "old dir.", "x"), []byte{99, 0, 8, 0, 1, 2, 3, 4}, rawName(newName, 1, "new", "y")),
		rawEvent(unix.FAN_ATTRIB|unix.FAN_ONDIR, 9, rawName(dfid, 1, "d", ".")),
		rawEvent(unix.FAN_ATTRIB|unix.FAN_ONDIR, 9, rawName(unix.FAN_EVENT_INFO_TYPE_DFID, 1, "d", "")),
		rawEvent(unix.FAN_Q_OVERFLOW, 0),
	}, nil)
	checks := []func(fanEvent) bool{
		func(e fanEvent) bool { return e.mask == unix.FAN_CREATE && e.pid == 7 && is(e.at, "12345678", "a\nb") },
		func(e fanEvent) bool { return is(e.old, "old dir.", "x") && is(e.at, "new", "y") },
		func(e fanEvent) bool { return is(e.at, "d", ".") },
		func(e fanEvent) bool { return is(e.at, "d", ".") },
		func(e fanEvent) bool { return e.mask == unix.FAN_Q_OVERFLOW && len(e.at.dir) == 0 },
	}
	for i, check := range checks {
		var ev fanEvent
		var err error
		if ev, buf, err = decodeFan(buf); err != nil || !check(ev) {
			t.Fatalf("event %d: %+v, %v", i, ev, err)
		}
	}
	if len(buf) != 0 {
		t.Errorf("%d bytes are left", len(buf))
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := rawEvent(unix.FAN_CREATE, 7, rawName(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "12345678", "name"))
	change := func(at int, to ...byte) []byte {
		raw := bytes.Clone(good)
		copy(raw[at:], to)
		return raw
	}
	tests := map[string][]byte{
		"nothing":               {},
		"half a header":         good[:fanMetaSize-1],
		"cut":                   good[:len(good)-1],
		"another version":       change(4, 2),
		"no size":               change(0, 0, 0, 0, 0),
		"metadata of 0 bytes":   change(6, 0, 0),
		"metadata beyond event": change(6, 255, 255),
		"record of 0 bytes":     change(fanMetaSize+2, 0, 0),
		"record beyond event":   change(fanMetaSize+2, 255, 0),
		"record without handle": change(fanMetaSize+2, 12, 0),
		"handle beyond record":  change(fanMetaSize+12, 100, 0, 0, 0),
		"handle of 4 GiB":       change(fanMetaSize+12, 255, 255, 255, 255),
		"slash in the name":     change(len(good)-5, '/'),
		"tail of a record":      rawEvent(unix.FAN_CREATE, 7, []byte{1, 2}),
		"the directory above":   rawEvent(unix.FAN_CREATE, 7, rawName(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "12345678", "..")),
	}
	for name, raw := range tests {
		if ev, rest, err := decodeFan(raw); !errors.Is(err, errMangled) || rest != nil || ev.mask != 0 && len(ev.at.dir) > 0 {
			t.Errorf("%s: %+v, %v", name, ev, err)
		}
	}
}

// FuzzFanotifyDecode: whatever comes, decoding ends without a panic, and what it
// yields is an entry of a directory by a handle that the kernel could have made.
func FuzzFanotifyDecode(f *testing.F) {
	f.Add(rawEvent(unix.FAN_Q_OVERFLOW, 0))
	f.Add(rawEvent(unix.FAN_CREATE, 7, rawName(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "12345678", "name")))
	f.Add(append(rawEvent(unix.FAN_RENAME, 8, rawName(unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 1, "12345678", "x"),
		rawName(unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 1, "new", "y")), 1, 2, 3))
	f.Fuzz(func(t *testing.T, buf []byte) {
		for len(buf) > 0 {
			ev, rest, err := decodeFan(buf)
			if err != nil {
				if !errors.Is(err, errMangled) || rest != nil {
					t.Errorf("%v, %d bytes are left", err, len(rest))
				}
				return
			}
			if len(rest) > len(buf)-fanMetaSize {
				t.Fatalf("%d bytes are left of %d", len(rest), len(buf))
			}
			for _, n := range []fanName{ev.at, ev.old} {
				if len(n.dir) == 0 {
					continue
				}
				if len(n.dir) < 4 || len(n.dir) > 4+maxHandle || len(n.name) == 0 || bytes.ContainsAny(n.name, "/\x00") || string(n.name) == ".." {
					t.Errorf("handle %x, name %q", n.dir, n.name)
				}
			}
			buf = rest
		}
	})
}
