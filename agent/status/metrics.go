package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// registry holds one collector over the agent's snapshot and the runtime's own.
func registry(a Agent) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a})
	return r
}

// collector turns each scrape into one snapshot, so metrics and status can
// never tell different stories.
type collector struct{ agent Agent }

// metric is one figure of a module or of a target.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

func describe[T any](name, help string, labels []string, kind prometheus.ValueType, value func(T) float64) metric[T] {
	return metric[T]{prometheus.NewDesc("syncagent_"+name, help, labels, nil), kind, value}
}

func moduleMetrics() []metric[Module] {
	of := []string{"module"}
	return []metric[Module]{
		describe("events_total", "Changes the watcher reported.", of, prometheus.CounterValue, func(m Module) float64 { return float64(m.Events) }),
		describe("watch_overflows_total", "Times the kernel's event queue overflowed.", of, prometheus.CounterValue, func(m Module) float64 { return float64(m.Overflows) }),
		describe("watched_directories", "Directories being watched.", of, prometheus.GaugeValue, func(m Module) float64 { return float64(m.Watched) }),
		describe("watch_blind_subtrees", "Subtrees that cannot be watched.", of, prometheus.GaugeValue, func(m Module) float64 { return float64(m.Blind) }),
		describe("module_blocked", "1 when the module's root guard blocks it.", of, prometheus.GaugeValue, func(m Module) float64 { return flag(m.Blocked != "") }),
	}
}

func targetMetrics() []metric[Target] {
	of := []string{"module", "target"}
	return []metric[Target]{
		describe("pending", "Marks the target has not confirmed.", of, prometheus.GaugeValue, func(t Target) float64 { return float64(t.Pending) }),
		describe("lag_seconds", "Age of the oldest change the target has not confirmed.", of, prometheus.GaugeValue, func(t Target) float64 { return t.Lag }),
		describe("in_sync_timestamp_seconds", "Moment as of which the target equals the master.", of, prometheus.GaugeValue, func(t Target) float64 { return unix(t.InSyncAsOf.Time) }),
		describe("failing_paths", "Paths that the target does not accept.", of, prometheus.GaugeValue, func(t Target) float64 { return float64(t.Failing) }),
		describe("held_deletes", "Deletes held back until they are approved.", of, prometheus.GaugeValue, func(t Target) float64 { return float64(t.HeldDeletes) }),
		describe("blocked", "1 when the target is blocked.", of, prometheus.GaugeValue, func(t Target) float64 { return flag(t.State == Blocked) }),
		describe("batches_total", "Batches confirmed.", of, prometheus.CounterValue, func(t Target) float64 { return float64(t.Batches) }),
		describe("files_total", "Files sent.", of, prometheus.CounterValue, func(t Target) float64 { return float64(t.Files) }),
		describe("bytes_total", "Bytes of the files sent.", of, prometheus.CounterValue, func(t Target) float64 { return float64(t.Bytes) }),
		describe("deletes_total", "Entries deleted on the target.", of, prometheus.CounterValue, func(t Target) float64 { return float64(t.Deletes) }),
		describe("connections_total", "Connections opened to the target.", of, prometheus.CounterValue, func(t Target) float64 { return float64(t.Connections) }),
	}
}

// hookMetrics are of module and hook; the module is "" for a hook of states.
func hookMetrics() []metric[Hook] {
	of := []string{"module", "hook"}
	return []metric[Hook]{
		describe("hook_queued", "Paths that wait for the hook.", of, prometheus.GaugeValue, func(h Hook) float64 { return float64(h.Queued) }),
		describe("hook_runs_total", "Runs that ended well.", of, prometheus.CounterValue, func(h Hook) float64 { return float64(h.Runs) }),
		describe("hook_failed_total", "Runs given up after their last try.", of, prometheus.CounterValue, func(h Hook) float64 { return float64(h.Failed) }),
		describe("hook_retries_total", "Tries after the first.", of, prometheus.CounterValue, func(h Hook) float64 { return float64(h.Retries) }),
		describe("hook_dropped_total", "Paths that did not fit into the queue.", of, prometheus.CounterValue, func(h Hook) float64 { return float64(h.Dropped) }),
		describe("hook_seconds_total", "Time spent in runs.", of, prometheus.CounterValue, func(h Hook) float64 { return h.Seconds }),
	}
}

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range moduleMetrics() {
		ch <- m.desc
	}
	for _, m := range targetMetrics() {
		ch <- m.desc
	}
	for _, m := range hookMetrics() {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	modules, targets, hooks := moduleMetrics(), targetMetrics(), hookMetrics()
	snap := c.agent.Snapshot()
	for _, h := range snap.OnState {
		collect(ch, hooks, h, "", h.Name)
	}
	for _, mod := range snap.Modules {
		collect(ch, modules, mod, mod.Name)
		for _, t := range mod.Targets {
			collect(ch, targets, t, mod.Name, t.Name)
		}
		for _, h := range mod.Hooks {
			collect(ch, hooks, h, mod.Name, h.Name)
		}
	}
}

func collect[T any](ch chan<- prometheus.Metric, metrics []metric[T], v T, labels ...string) {
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(v), labels...)
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
