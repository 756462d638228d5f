package agent

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// syncs runs a sync and returns its last update.
func (b *rig) syncs() status.SyncUpdate {
	b.Helper()
	var last status.SyncUpdate
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	b.syncNow(ctx, false, func(u status.SyncUpdate) { last = u })
	if ctx.Err() != nil {
		b.Error("the sync did not end within a day")
	}
	return last
}

func TestSyncEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*rig)
		want   status.SyncUpdate
	}{
		"equal": {func(*rig) {}, status.SyncUpdate{Equal: true}},
		"sends": {func(b *rig) { b.write("new/f", "1") }, status.SyncUpdate{Equal: true}},
		"down":  {func(b *rig) { b.breakDown(rsync.Transient) }, status.SyncUpdate{Error: "rsync: no", Pending: 1}},
		"path fails": {
			func(b *rig) { b.write("f", "1"); b.refuse("f", rsync.Partial) },
			status.SyncUpdate{Error: `"f": not today`, Pending: 1},
		},
		"deletes are held": {func(b *rig) {
			for i := range 100 {
				b.slaveHas(fmt.Sprintf("d/f%d", i), "1")
			}
		}, status.SyncUpdate{Held: 101}},
		"root is blocked": {func(b *rig) { b.root.set(&blockedError{why: "blocked"}) }, status.SyncUpdate{Error: "blocked", Pending: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(10)
				b.start()
				tt.change(b)
				got := b.syncs()
				if !got.Done || got.Equal != tt.want.Equal || got.Held != tt.want.Held || got.Error != tt.want.Error || got.Pending > tt.want.Pending {
					t.Errorf("ended with %+v", got)
				}
			})
		})
	}
}

func TestSyncTriesWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("f", "1")
		b.refuse("f", rsync.Partial)
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Hour)
		b.accept()
		begun := time.Now()
		if u := b.syncs(); !u.Equal || time.Since(begun) > 10*time.Second {
			t.Errorf("ended with %+v after %v", u, time.Since(begun))
		}
		b.breakDown(rsync.Auth)
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Hour)
		b.accept()
		begun = time.Now()
		if u := b.syncs(); !u.Equal || time.Since(begun) > 10*time.Second {
			t.Errorf("after an outage: ended with %+v after %v", u, time.Since(begun))
		}
	})
}

// A sweep that runs already may have passed over what changed since.
func TestSyncSweepsAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.change(func(s *fakeSlave) { s.delay = time.Minute })
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Second)
		b.syncs()
		if b.sweepsSeen() != 2 {
			t.Errorf("%d sweeps", b.sweepsSeen())
		}
	})
}

// A target that is removed meanwhile must not keep anybody waiting.
func TestSyncEndsWithItsReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.change(func(s *fakeSlave) { s.delay = time.Hour })
		b.start()
		done := make(chan status.SyncUpdate, 1)
		go func() { done <- b.syncs() }()
		time.Sleep(time.Second)
		b.stop()
		synctest.Wait()
		select {
		case u := <-done:
			if u.Equal || !u.Done || u.Error == "" {
				t.Errorf("ended with %+v", u)
			}
		default:
			t.Error("the sync still waits")
			<-done
		}
	})
}

func TestDrySyncChangesNothing(t *testing.T) {
	for _, deletes := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			b := newRig(t, func(m *config.Module) { m.Delete = deletes })
			b.write("new", "1")
			b.slaveHas("extra", "1")
			b.start()
			u := b.syncDry(t.Context())
			want := 1
			if deletes {
				want = 2
			}
			if len(u.Differ) != want || u.Equal || !u.Done {
				t.Errorf("deletes %v: %+v", deletes, u)
			}
			b.slaveIs(true, "extra")
			b.slaveIs(false, "new")
		})
	}
}
