package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncagent/rsyncd/rsyncdtest"
)

// A delete lets rsync replace directories in the same run. What stands on the
// slave in the place of a file and holds something excluded must not go with it.
func TestDeleteForcesNothingElse(t *testing.T) {
	for name, rule := range map[string]string{"rule": "filter: ['- keep']", "expression": "filter_regex: ['(.*/)?keep']"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 1, "    delete_guard: off\n    first_sync: mirror\n    "+rule+"\n")
			slave := l.slaves[0].Path("data")
			l.must(os.Mkdir(filepath.Join(slave, "d"), 0o755))
			l.must(os.WriteFile(filepath.Join(slave, "d/keep"), nil, 0o644))
			l.must(os.WriteFile(filepath.Join(slave, "z"), nil, 0o644))
			l.write("d", "now a file\n")
			l.start()
			rsyncdtest.Eventually(t, 30*time.Second, func() error {
				if _, err := os.Lstat(filepath.Join(slave, "z")); err == nil {
					return errors.New("z is still there")
				}
				if l.status().Targets[0].Failing == 0 {
					return errors.New("nothing fails")
				}
				return nil
			})
			if _, err := os.Stat(filepath.Join(slave, "d/keep")); err != nil {
				t.Error(err)
			}
		})
	}
}
