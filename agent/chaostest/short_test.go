//go:build !chaos

package chaostest

// long is for "make chaos"; without it a few cases run, with few rounds.
const long = false
