package watch

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// inotifyUse counts the inotify watches and instances that this user's processes
// hold, as far as /proc shows them. Own is the part of the watches held by
// instances that watch root.
func inotifyUse(root inode) (used, own, instances int) {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	uid := uint32(os.Geteuid())
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !strings.HasSuffix(to, "inotify") {
			continue
		}
		var st unix.Stat_t
		if unix.Lstat(link, &st) != nil || st.Uid != uid {
			continue
		}
		f, err := os.Open(strings.Replace(link, "/fd/", "/fdinfo/", 1))
		if err != nil {
			continue
		}
		n, mine := countWatches(f, root)
		f.Close()
		instances++
		used += n
		if mine {
			own += n
		}
	}
	return used, own, instances
}

// countWatches counts the watches in an fdinfo file of an inotify descriptor
// (proc_pid_fdinfo(5)) and reports whether root is among them.
func countWatches(r io.Reader, root inode) (n int, mine bool) {
	for s := bufio.NewScanner(r); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), "inotify wd:")
		if !ok {
			continue
		}
		n++
		mine = mine || fdinfoInode(rest) == root
	}
	return n, mine
}

// fdinfoInode takes the inode out of "1 ino:9e7e sdev:800013 mask:…", all hexadecimal,
// the device in the kernel's own form of 12 bits major and 20 bits minor number.
func fdinfoInode(fields string) inode {
	var id inode
	for field := range strings.FieldsSeq(fields) {
		key, value, _ := strings.Cut(field, ":")
		x, err := strconv.ParseUint(value, 16, 64)
		if err != nil {
			continue
		}
		switch key {
		case "ino":
			id.ino = x
		case "sdev":
			id.dev = unix.Mkdev(uint32(x>>20), uint32(x&(1<<20-1)))
		}
	}
	return id
}
