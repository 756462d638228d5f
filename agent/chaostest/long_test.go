//go:build chaos

package chaostest

// long runs every case, each with all of its rounds.
const long = true
