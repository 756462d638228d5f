package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// noise is content that does not compress, the same in each run.
func noise(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// writeNoise makes a file of so many bytes.
func writeNoise(path string, size int64, from io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, from, size)
	return errors.Join(err, f.Close())
}

// writeFiles makes n files that share size bytes in a new directory.
func writeFiles(dir string, n int, size int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	from := noise(1)
	for i := range n {
		if err := writeNoise(filepath.Join(dir, fmt.Sprintf("file%04d", i)), size/int64(n), from); err != nil {
			return err
		}
	}
	return nil
}

// leaf is the path of the ith directory: a hundred in each of a hundred in as
// many as it takes.
func leaf(i int) string { return fmt.Sprintf("d%02d/d%02d/d%02d", i/10_000, i/100%100, i%100) }

// makeDirs makes n directories below root, and their parents. All times are the
// same, so that two such trees are equal.
func makeDirs(root string, n int) error {
	for i := range n {
		dir := filepath.Join(root, leaf(i))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrNotExist) {
			err = os.MkdirAll(dir, 0o755)
		}
		if err != nil {
			return err
		}
	}
	for i := range n {
		for dir := leaf(i); dir != "."; dir = filepath.Dir(dir) {
			if err := os.Chtimes(filepath.Join(root, dir), epoch(), epoch()); err != nil {
				return err
			}
			if filepath.Base(dir) != "d00" {
				break // the first child alone stands for its parent
			}
		}
	}
	return nil
}

func epoch() time.Time { return time.Unix(1_700_000_000, 0) }
