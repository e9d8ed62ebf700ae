// Package steering holds the words that the whole of Fairway speaks, and the
// one function that everything exists for: Snapshot.Decide.
//
// In:  a Snapshot (immutable, numbered) and a Query (service, client address,
// session).
// Out: a Decision: ranked, weighted endpoints with a TTL, an ECS scope and
// reason codes.
//
// # The shape
//
// A Revision is what operators wrote, compiled to values. A Table says which
// cell of the address space a client is in. Both together make a Layout, which
// fixes for every service × cell the rule that matches: a Group. What changes
// with the measurements is one Split per service × group; a Snapshot is a Layout
// with a full set of Splits and a generation number. Doors hold a Current and do
//
//	decision, ok := current.Load().Decide(query)
//
// # Promises
//
// Nothing here opens a file or a socket, reads a clock, draws a random number,
// logs or counts (invariants 2 and 3 in docs/ARCHITECTURE.md). A Snapshot and
// all it points to never change once published, so any number of goroutines may
// share it. Decide does not allocate.
package steering
