// Package consulstore is the store of a fleet: Consul's key-value store, shared by
// every node of a deployment.
//
//	PREFIX/heads/revisions   number of the newest revision
//	PREFIX/heads/inforce     which revision serves
//	PREFIX/heads/overrides   the list of overrides
//	PREFIX/heads/state       generation of the state, and the pieces of its root
//	PREFIX/heads/leader      who leads; locked by the session of that node
//	PREFIX/heads/values      how often a value changed
//	PREFIX/values/FOLDER/NAME    what other parts keep
//	PREFIX/revisions/0000000007   who, why, when, and the pieces of each file
//	PREFIX/files/HASH        pieces of configuration files
//	PREFIX/state/HASH        pieces of states
//
// In and out: as package store says.
//
// # Pieces
//
// What is large is JSON or a file, compressed with zstd and cut into pieces under
// Consul's limit of 512 KiB for a value. A piece is named by the SHA-256 of what
// it holds, so it never changes, is never sent twice, and cannot be read wrong.
// A state is cut by service into buckets: when a verdict changes, only the
// buckets of its services and the root travel, and a reader fetches only what it
// does not have.
//
// # Writing
//
// Pieces first, then the head by check-and-set: a reader sees the old state or
// the new one. A writer that was overtaken gets ErrStale or ErrConflict and has
// changed nothing. Pieces that no head needs any more are removed two minutes
// later, long after the last reader that could be on its way to them.
//
// # Leading
//
// Of several control nodes the one whose session holds the lock on heads/leader
// leads, see Campaign. From then on every transaction checks in itself that the
// session still holds it: that is the fence, and no clock has a part in it.
//
// # Reading
//
// Reads are consistent as Consul's default is; when the servers have no leader
// they are repeated as stale reads, which any server answers. Watch is one
// blocking query for PREFIX/heads/, stale, with backoff and jitter; it costs a
// Consul server one waiting request for each node.
package consulstore
