package main

import (
	"context"
	"testing"
)

// A real daemon gets the edit; what is sent of a file that is known is a
// fraction of sending it whole.
func TestTransferOptionsDiffer(t *testing.T) {
	inEnvironment(t, func(ctx context.Context, env *environment) error {
		env.opt.tree = t.TempDir()
		if err := writeNoise(env.opt.tree+"/all", editedSize, noise(5)); err != nil {
			return err
		}
		whole, err := inRig(ctx, env, []string{"--whole-file"}, sendEdited)
		if err != nil {
			return err
		}
		parts, err := inRig(ctx, env, []string{"--no-whole-file"}, sendEdited)
		if parts.megabytes <= float64(editSize)/1e6 || parts.megabytes > whole.megabytes/10 {
			t.Errorf("%.1f MB of %.1f MB", parts.megabytes, whole.megabytes)
		}
		return err
	})
}

func TestTotalSent(t *testing.T) {
	if n, err := totalSent("Number of files: 3\nTotal bytes sent: 12345\nTotal bytes received: 6\n"); n != 12345 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := totalSent("nothing"); err == nil {
		t.Error("no error")
	}
}
