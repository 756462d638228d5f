package chaostest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncagent/rsyncd/rsyncdtest"
)

// seedEnv repeats a run.
const seedEnv = "CHAOS_SEED"

// tableEnv names the page that the results are written into.
const tableEnv = "CHAOS_TABLE"

// settleTime is a case's bound unless it says otherwise. The pauses between
// tries grow with the length of an outage, so a cure is noticed as late as that.
const settleTime = 90 * time.Second

// faultCase is one fault and its cure. What is nil does not happen.
type faultCase struct {
	name     string
	says     string   // for the table: what is done
	short    bool     // runs without the build tag, too
	slaves   int      // 1 unless said
	disks    []string // options of tmpfs for the first slaves' trees; "" is none
	settings string   // more lines of the module's configuration
	quiet    bool     // no random edits before and beside the fault
	setup    func(w *world)
	fault    func(w *world)
	heal     func(w *world)
	lacks    func() string // why it cannot run here, "" if it can
	bound    time.Duration // from the cure until all is equal; 0 is settleTime
}

// rounds is how often something is done: as often as the issue is worth in the
// long form, a few times in the short one.
func rounds(full, few int) int {
	if long {
		return full
	}
	return few
}

func allCases() []faultCase {
	return slices.Concat(killCases(), staleCases(), diskCases(), networkCases(), refusalCases(), sourceCases(), fileCases(), stateCases(), clockCases(), powerCases(), upgradeCases(), soakCases())
}

func TestChaos(t *testing.T) {
	needsRoot(t)
	all := &results{seed: masterSeed(t)}
	if page := os.Getenv(tableEnv); page != "" {
		t.Cleanup(func() {
			if err := all.write(page); err != nil {
				t.Error(err)
			}
		})
	}
	for i, c := range allCases() {
		if !long && !c.short {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.lacks != nil && c.lacks() != "" {
				all.add(t, result{Name: c.name, Says: c.says, Result: "not run: " + c.lacks()})
				t.Skip("not run: " + c.lacks())
			}
			runCase(t, i+1, c, all)
		})
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	err := errors.New("no right to make network namespaces here: run it as root")
	if os.Getenv("CI") != "" || long {
		t.Fatal(err)
	}
	rsyncdtest.Lacks(t, "namespaces", err)
}

func masterSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	t.Logf("seed %d; %s=%d repeats it", seed, seedEnv, seed)
	return seed
}

// seedOf gives each case numbers of its own, whichever others run.
func seedOf(seed uint64, name string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", seed, name)
	return h.Sum64()
}

// runCase is what every case is: everything equal, a fault under random edits,
// its cure, everything equal again.
func runCase(t *testing.T, number int, c faultCase, all *results) {
	w := newWorld(t, number, seedOf(all.seed, c.name), c)
	w.rec = result{Name: c.name, Says: c.says}
	defer func() {
		w.tellLies()
		all.add(t, w.rec)
	}()
	for _, s := range w.slaves {
		s.startReceiver(w)
	}
	if c.setup != nil {
		c.setup(w)
	}
	if !c.quiet {
		w.step(150)
	}
	w.startAgent()
	w.converge(settleTime)
	stopSampling := w.sampling()
	defer stopSampling()
	begin := time.Now()
	w.breakAndMend(c)
	w.rec.Fault = time.Since(begin).Seconds()
	healed := time.Now()
	w.converge(boundOf(c))
	w.rec.Settled = time.Since(healed).Seconds()
	stopSampling()
	w.judge()
	w.rec.Result = "passed"
}

func boundOf(c faultCase) time.Duration {
	if c.bound > 0 {
		return c.bound
	}
	return settleTime
}

func (w *world) breakAndMend(c faultCase) {
	w.Helper()
	stop := func() {}
	if !c.quiet {
		stop = w.churning(10 * time.Millisecond)
	}
	defer stop()
	c.fault(w)
	stop()
	if c.heal != nil {
		c.heal(w)
	}
}

// tellLies fails the case for each wrong answer, also when something else has
// failed it before.
func (w *world) tellLies() {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for _, lie := range w.truth.lies {
		w.Errorf("a wrong answer: %s", lie)
	}
}

// judge holds the agent to everything that is not about trees.
func (w *world) judge() {
	w.Helper()
	w.truth.mu.Lock()
	w.rec.Asked, w.rec.Checked = w.truth.asked, w.truth.checked
	w.truth.mu.Unlock()
	now := w.leaks.routines()
	w.startAgent()
	w.converge(settleTime)
	fresh := w.leaks.routines()
	w.rec.Routines, w.rec.Fresh = total(now), total(fresh)
	if more := grown(fresh, now); len(more) > 0 {
		w.Errorf("goroutines are left: %s", strings.Join(more, "; "))
	}
	w.startAgent()
	w.converge(settleTime)
	w.leaks.weigh()
	w.stopAgent()
	for _, s := range w.slaves {
		s.stopReceiver(w)
	}
	w.leaks.none()
	w.rec.Memory = w.leaks.peak
	w.holdToMemory()
	w.holdToLog()
}

func (w *world) holdToMemory() {
	w.Helper()
	limit := int64(memoryLimit)
	if raceDetector {
		limit *= raceFactor
	}
	w.Logf("the agent's memory was at most %d MB, its goroutines %d, of a new one %d; asked %d times, compared %d times, unclear %d times",
		w.leaks.peak>>20, w.rec.Routines, w.rec.Fresh, w.truth.asked, w.truth.checked, w.truth.unclear)
	if w.leaks.peak > limit {
		w.Errorf("the agent had %d MB of memory, more than %d", w.leaks.peak>>20, limit>>20)
	}
}

// holdToLog looks for what no log may hold.
func (w *world) holdToLog() {
	w.Helper()
	logs := []string{w.log()}
	for _, s := range w.slaves {
		logs = append(logs, s.recv.log)
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		w.must(err)
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if i := strings.Index(string(b), bad); i >= 0 {
				w.Errorf("%s: %s", name, b[max(0, i-200):min(len(b), i+3000)])
			}
		}
	}
}

// note writes a line into the agent's log.
func (w *world) note(line string) {
	f, err := os.OpenFile(w.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "time=%s test=%q\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), line)
}
