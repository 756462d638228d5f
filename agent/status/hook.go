package status

// Hook is what became of one hook's runs since the agent started.
type Hook struct {
	Name      string  `json:"name"`
	Type      string  `json:"type"`
	Queued    int     `json:"queued"` // paths
	Running   bool    `json:"running"`
	Runs      uint64  `json:"runs"`   // that ended well
	Failed    uint64  `json:"failed"` // given up after the last try
	Retries   uint64  `json:"retries"`
	Dropped   uint64  `json:"dropped"` // paths
	LastError string  `json:"last_error"`
	LastRun   Time    `json:"last_run"`
	Seconds   float64 `json:"seconds"`
}
