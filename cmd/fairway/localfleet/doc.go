// Package localfleet runs the programs of a fleet on one machine: Consul servers
// with access control as in production, and whatever else is told to start, each
// a process of its own.
//
// In:  programs with their arguments, and a folder for their files and logs.
// Out: running processes, started again when they end, as systemd would, and ended
// together, by their ids, in the reverse order of their start.
//
// A Fleet is safe for concurrent use. Where the system can do it (Linux), its
// processes end with it even when it is killed.
package localfleet
