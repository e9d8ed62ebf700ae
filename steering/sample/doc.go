// Package sample keeps a bounded sample of who asks for what, so that a plan can
// be tried on real queries before it is applied.
//
// In:  every decision that a door hands out (Decided), on the query path.
// Out: Traffic: door, service and client network, with the number of queries
// that it stands for.
//
// # What it costs
//
// One draw from the runtime's own generator, which no two threads share, decides
// whether a query is looked at: one in N. A counter would be cheaper on one core
// and dearer on many, where its cache line is passed around. What is drawn goes
// into a ring that is allocated once; a query that finds the ring busy is
// dropped, since answering never waits. N doubles while the ring turns faster
// than Config.Span and halves while it turns slower, so a quiet node keeps every
// query and a busy one takes the lock a few times a second. Each entry remembers
// its N, so that counts stay right while N changes.
//
// # What it keeps of a client
//
// Decision.Network, which is as long as the policy hashes (/24 and /56 unless
// configured), and neither the address nor a time nor a session.
//
// All of it is safe for concurrent use.
package sample
