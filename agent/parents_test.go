package agent_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncagent/agent/status"
)

// What came and went before it was looked at leaves nothing to send but the time of
// the directory that it was in.
func TestTimeOfDirectoryOfWhatCameAndWent(t *testing.T) {
	for name, settings := range map[string]string{
		"seen":       "",
		"with rules": "    filter: [\"- *.tmp\"]\n",
		"kept":       "    delete: false\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 1, "    first_sync: mirror\n    delete_guard: off\n"+settings)
			l.write("d/y", "1")
			l.must(os.Chtimes(filepath.Join(l.root, "d"), time.Time{}, time.Unix(1e9, 0)))
			l.start()
			l.inSync()
			l.master.Pause(status.PauseRequest{Paused: true})
			l.write("d/x", "2")
			l.must(os.Remove(filepath.Join(l.root, "d/x")))
			l.until("the change is seen", func(m status.Module) bool { return m.Targets[0].Pending > 0 })
			l.master.Pause(status.PauseRequest{Paused: false})
			l.inSync()
		})
	}
}
