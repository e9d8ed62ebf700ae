// Package nearest is one store to read, made of several that hold the same: the first
// of them that is well is read, near ones first.
//
// In:  stores in the order in which they are to be preferred, each of which can tell
// whether what is read there may be old. Out: a store.Store that reads from one of
// them, and tells its watchers that everything may be new when that is another one.
//
// # When it changes
//
// A store that has not been well for leaveAfter is left for the next one that is. The
// nearer ones are looked at all the while, and one that has been well for returnAfter
// is read again. While none is well it stays where it is: who reads keeps a copy, and
// goes on from that.
//
// # What it does not do
//
// It compares nothing: that a nearer store is behind the farther one after the change
// is for the reader to see, who believes nothing older than what he has. It writes to
// the first store alone.
package nearest
