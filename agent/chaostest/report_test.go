package chaostest

// result is what the table shows of a case.
type result struct {
	Name, Says     string
	Seed           uint64
	Result         string
	Fault, Settled float64 // seconds
	Asked, Checked int
	Memory         int64 // bytes
	Routines       int
	Fresh          int
}

func (w *world) report(r *result) {
	r.Result = "passed"
	if w.Failed() {
		r.Result = "failed"
	}
}
