// Package consulstore is the store of a fleet: Consul's key-value store, shared by
// every node of a deployment.
//
//	PREFIX/heads/revisions   number of the newest revision
//	PREFIX/heads/inforce     which revision serves
//	PREFIX/heads/overrides   the list of overrides
//	PREFIX/heads/state       generation of the state, where its base is, what changed since
//	PREFIX/heads/leader      who leads; locked by the session of that node
//	PREFIX/heads/values      how often a value changed
//	PREFIX/values/FOLDER/NAME    what other parts keep
//	PREFIX/revisions/0000000007   who, why, when, and the pieces of each file
//	PREFIX/files/HASH        pieces of configuration files
//	PREFIX/state/HASH        pieces of bases and of changes
//
// In and out: as package store says.
//
// # Pieces
//
// What is large is JSON or a file, compressed with zstd and cut into pieces under
// Consul's limit of 512 KiB for a value. A piece is named by the SHA-256 of what
// it holds, so it never changes, is never sent twice, and cannot be read wrong.
//
// # States
//
// What travels when a verdict changes is a steering.Delta: the splits of the groups
// that have others now. It lies in the head itself where it is small, so that who
// watches the heads has it with the news of it, and in a piece for those who come
// later. The head lists the newest changes, by name, after a base: a whole state cut
// into buckets by service, of which only those are written again that changed. A
// base is written after 64 changes, or when these are as large as it; readers who are
// not further behind than the list do not read it. Each state in the list has a name
// that follows from all before it, so nothing can be left out or applied twice.
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
// Watch is one blocking query for PREFIX/heads/, stale, with backoff and jitter; it
// costs a Consul server one waiting request for each node. While it is answered,
// heads are read from what it brought, and Consul is not asked for them. A store that
// leads reads as Consul's leader has it, and one that has written sees what it wrote.
// Pieces never change: any server may give them. All other reads are consistent as
// Consul's default is; when the servers have no leader they are repeated as stale
// reads, which any server answers.
package consulstore
