// Package status owns what a running agent tells of itself and what it can be
// asked to do: the snapshot and its JSON, the unix socket it is served on, the
// client the commands use, the metrics and the table for people.
//
// It must not know how the agent works: it asks an Agent for a snapshot and
// hands requests on. Field names of the JSON are a contract with users' checks.
//
// # Why HTTP on a unix socket
//
// File permissions decide who may ask, no port is opened, curl can read it, and
// the standard library brings requests, streaming and shutdown. The same
// handler serves /metrics, on the socket and where the configuration wants it
// also on an address.
package status
