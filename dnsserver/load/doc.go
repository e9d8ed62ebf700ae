// Package load puts a DNS server under a bounded load, and measures what comes
// back.
//
// In:  queries, made ahead by Mix; an address; a rate or a window, and an end.
// Out: a Result: answers, losses, response codes, a histogram of latencies.
//
// # How
//
// With a rate, queries are sent when they are due, whatever the server does, and a
// latency counts from when its query was due: a server that stands still for a
// second is charged with every query of that second, not with one. Without a rate,
// each answer makes room for the next query of a window (a closed loop), which
// finds out what a server can take.
//
// An answer counts when it is a response with the query's id and question. What
// has not come within the timeout is lost.
//
// # What it does not do
//
// It forges no source addresses, and no resolver stands between it and the server.
package load
