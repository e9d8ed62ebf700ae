// Package decisionlog keeps what a sample of the clients was told, with what
// probability, and what their players met with, so that another policy can be tried
// on it afterwards (package offpolicy).
//
// In:  every decision that a door hands out (Decided), on the query path; every
// report of a player (Reported).
// Out: history.Decisions and history.Outcomes, for a history.Ring (Take).
//
// # Who is in the sample
//
// A client is in or out by its own hash, the same on every node and for as long as
// the rate stands: so all that it is told and all that it reports is there, wherever it
// asks and reports. A lower rate keeps a part of the same clients.
//
// # What it costs
//
// One hash for each decision; for those of the sample a lock that nobody waits for: who
// finds it taken is not logged, and counted (Lost). Between two Takes a client that asks
// the same again is one entry with a count, and there are no more than Most.
//
// # What it keeps of a client
//
// Its network, as long as the policy hashes (/24 and /56 unless configured), and 64
// bits of a hash of its session id. Neither address nor session.
package decisionlog
