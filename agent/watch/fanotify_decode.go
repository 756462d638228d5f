package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// fanEvent is one event as fanotify(7) reports it to a group that was set up
// with FAN_REPORT_DFID_NAME. Its slices belong to the buffer.
type fanEvent struct {
	mask uint64
	pid  int32 // of the process that caused it; 0 when it is not visible here
	at   fanName
	old  fanName // of FAN_RENAME; at is the new name
}

// fanName is an entry of a directory. The directory itself is named ".".
type fanName struct {
	// dir is the directory's handle: its type, a native 32-bit number, and what
	// open_by_handle_at(2) takes. Empty when the event bears none.
	dir  []byte
	name []byte
}

// The sizes are those of struct fanotify_event_metadata, of struct
// fanotify_event_info_fid up to the handle, and of struct file_handle up to its
// bytes.
const (
	fanMetaSize   = 24
	fanInfoSize   = 4 + 8
	fanHandleSize = 8
	// maxHandle is MAX_HANDLE_SZ of the kernel.
	maxHandle = 128
)

// errMangled: the kernel's event is not what this code knows.
var errMangled = errors.New("event of unknown form")

// decodeFan takes the first event from buf and returns what follows it. After an
// error nothing in buf can be used.
func decodeFan(buf []byte) (ev fanEvent, rest []byte, err error) {
	ne := binary.NativeEndian
	if len(buf) < fanMetaSize {
		return ev, nil, fmt.Errorf("%w: %d bytes are left", errMangled, len(buf))
	}
	size, skip := uint64(ne.Uint32(buf)), uint64(ne.Uint16(buf[6:]))
	if buf[4] != unix.FANOTIFY_METADATA_VERSION || skip < fanMetaSize || size < skip || size > uint64(len(buf)) {
		return ev, nil, fmt.Errorf("%w: version %d, %d bytes, %d of them metadata", errMangled, buf[4], size, skip)
	}
	ev.mask, ev.pid = ne.Uint64(buf[8:]), int32(ne.Uint32(buf[20:]))
	if err := ev.decodeInfo(buf[skip:size]); err != nil {
		return fanEvent{}, nil, err
	}
	return ev, buf[size:], nil
}

// decodeInfo reads the records that follow the metadata; those of unknown types
// are skipped.
func (ev *fanEvent) decodeInfo(info []byte) error {
	for len(info) > 0 {
		if len(info) < 4 {
			return fmt.Errorf("%w: a record of %d bytes", errMangled, len(info))
		}
		kind, size := info[0], int(binary.NativeEndian.Uint16(info[2:]))
		if size < 4 || size > len(info) {
			return fmt.Errorf("%w: a record of %d bytes where %d are left", errMangled, size, len(info))
		}
		var err error
		switch kind {
		case unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_DFID:
			ev.at, err = decodeName(info[:size])
		case unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
			ev.old, err = decodeName(info[:size])
		}
		if err != nil {
			return err
		}
		info = info[size:]
	}
	return nil
}

// decodeName reads a struct fanotify_event_info_fid and the name behind it.
func decodeName(rec []byte) (fanName, error) {
	if len(rec) < fanInfoSize+fanHandleSize {
		return fanName{}, fmt.Errorf("%w: a handle of %d bytes", errMangled, len(rec))
	}
	rec = rec[fanInfoSize:]
	size := int64(binary.NativeEndian.Uint32(rec))
	if size > maxHandle || fanHandleSize+size > int64(len(rec)) {
		return fanName{}, fmt.Errorf("%w: a handle of %d bytes where %d are left", errMangled, size, len(rec))
	}
	name, _, _ := bytes.Cut(rec[fanHandleSize+size:], []byte{0})
	if bytes.IndexByte(name, '/') >= 0 || string(name) == ".." {
		return fanName{}, fmt.Errorf("%w: no entry of a directory", errMangled)
	}
	if len(name) == 0 {
		name = []byte(".")
	}
	return fanName{dir: rec[4 : fanHandleSize+size], name: name}, nil
}
