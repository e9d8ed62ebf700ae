// Package replica is a node's own copy of the store that a fleet shares. The node
// reads the copy alone, so nothing in it ever waits for the network, and it starts
// and goes on while the shared store is away.
//
// In:  what the shared store holds, as soon as it tells of a change.
// Out: the same as a store.Store; a folder with what is needed to start without
// the shared store:
//
//	DIR/intent.json   and .1, .2: what is in force with its files, overrides, values
//	DIR/state.json    and .1, .2: decisions
//	DIR/state.journal what has changed of them since
//
// # What it believes
//
// A shared store that was emptied, or that shows something older than what was
// seen before (a restored backup, a server that lags behind), is not believed: the
// copy stands, and Contact says so. Control, which knows better, writes anew.
//
// # Writing
//
// Puts go to the shared store first and count when they are there; then the copy
// has them, before the shared store tells of them. The disk is written behind the
// reader's back: a full or read-only one costs what a restart would begin from.
package replica
