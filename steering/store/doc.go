// Package store is the contract for what must outlive a process: the operators'
// intent (revisions, which of them is in force, overrides) and the dynamic half
// of the newest snapshot.
//
// In:  revisions of configuration that compiled, what is in force, overrides,
// states.
// Out: the newest of each, older revisions, and word when something changed.
//
// # Promises of every store
//
//   - What a Put returned nil for survives kill -9, and is what the next read
//     gives, in this process or another on the same data.
//   - A Put that returned an error has not damaged what was there.
//   - A read gives something whole or nothing: never half a file, never a mix.
//   - All methods are safe for concurrent use. What they return belongs to the
//     caller, and what they were given is not kept, but for the records of states,
//     which nobody changes.
//   - A method of a closed store returns ErrClosed.
//
// Package storetest holds one suite for these; every store passes it.
//
// # What it does not do
//
// It does not look into configuration files, expire overrides or decide when to
// write: the caller throttles PutState.
package store
