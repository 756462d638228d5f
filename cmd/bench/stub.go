package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// stubName is what this program is called when it stands in for rsync.
	stubName = "rsync"
	// stubSocket lies beside it and is told of each run.
	stubSocket = "runs.sock"
	// maxTold bounds a message, in bytes.
	maxTold = 32 << 10
)

// stub does what agent expects of rsync and moves nothing: it reads its list
// and prints a line for each entry. The runs that would have sent something are
// told to the socket in dir: destination, newline, list.
func stub(dir string, args []string, in io.Reader, out io.Writer) int {
	if slices.Contains(args, "--version") {
		fmt.Fprintln(out, "rsync  version 3.5.0  protocol version 32")
		return 0
	}
	list, err := io.ReadAll(in)
	if err != nil || len(args) == 0 {
		return 1
	}
	dry := slices.Contains(args, "-n")
	if _, err := out.Write(stubItems(list, dry)); err != nil {
		return 1
	}
	if dry || len(list) == 0 {
		return 0
	}
	if err := tell(filepath.Join(dir, stubSocket), args[len(args)-1], list); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stubItems are the lines of --out-format=%i|%n|%l: sent, or in a dry run equal.
func stubItems(list []byte, dry bool) []byte {
	code := "<f+++++++++"
	if dry {
		code = ".f         "
	}
	var b bytes.Buffer
	for entry := range bytes.SplitSeq(list, []byte{0}) {
		if name := bytes.TrimPrefix(entry, []byte("/")); len(name) > 0 {
			fmt.Fprintf(&b, "%s|%s|0\n", code, name)
		}
	}
	return b.Bytes()
}

func tell(socket, dest string, list []byte) error {
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(append([]byte(dest+"\n"), list[:min(len(list), maxTold)]...))
	return err
}

// told takes a message apart.
func told(msg []byte) (dest string, entries []string) {
	dest, list, _ := strings.Cut(string(msg), "\n")
	return dest, strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
}
