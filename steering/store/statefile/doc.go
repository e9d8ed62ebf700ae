// Package statefile keeps the newest decisions in a folder: a state as of some time,
// whole, and a journal of what has changed since.
//
//	DIR/state.json     and .1, .2: whole states
//	DIR/state.journal  what has changed since the first of them
//
// A change of one verdict costs a line of the journal, not the world; when the journal
// is as long as the state, the state is written anew. A crash in between leaves a
// journal whose lines are in the state already: each names the state that it changes,
// so they change nothing.
//
// One process writes, one goroutine at a time; any number may read meanwhile. What
// they read is whole, and never older than what they read before.
package statefile
