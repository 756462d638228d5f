package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// What fails for long is told once, with when it began and rsync's words.
func TestFailuresAreEscalatedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.write("f\n", "1")
		b.refuse("f\n", rsync.Partial)
		b.Mark("f\n", tree.Content, false)
		began := time.Now()
		file := &failedLog{file: filepath.Join(t.TempDir(), "failed.log")}
		time.Sleep(b.module.Failures.EscalateAfter.Std() - time.Second)
		b.escalate(file, time.Now())
		if _, err := os.Stat(file.file); err == nil {
			t.Error("told too early")
		}
		for range 3 {
			time.Sleep(time.Minute)
			b.escalate(file, time.Now())
		}
		data, err := os.ReadFile(file.file)
		b.must(err)
		var line failedLine
		b.must(json.Unmarshal(data, &line))
		if bytes.Count(data, []byte("\n")) != 1 || line.Target != "s1" || line.Failing.Name != "f\n" || line.Failing.Error != "not today" || !line.Failing.Since.Equal(began) {
			t.Errorf("%s", data)
		}
	})
}

// The file is bounded, and one before it is kept.
func TestFailedLogIsBounded(t *testing.T) {
	file := &failedLog{file: filepath.Join(t.TempDir(), "failed.log")}
	long := status.Failing{Path: status.Path{Name: "f"}, Error: strings.Repeat("x", failedMost/3)}
	for range 8 {
		if err := file.escalate("m", "t", []status.Failing{long}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{file.file, file.file + ".1"} {
		info, err := os.Stat(name)
		if err != nil || info.Size() > failedMost || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// All that fails is tried every failures.retry_every, whatever the pause of each.
func TestFailuresAreTriedRegularly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.write("f", "1")
		b.refuse("f", rsync.Partial)
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Hour)
		s := newSource(b.module, b.store, b.log)
		s.module.Failures.RetryEvery = b.module.Settle.Max // a second
		s.attach(b.Replica)
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(ended)
			s.minding(ctx)
		}()
		b.batches()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		if n := len(b.batches()); n < 9 {
			t.Errorf("tried %d times in ten seconds", n)
		}
		cancel()
		<-ended
	})
}
