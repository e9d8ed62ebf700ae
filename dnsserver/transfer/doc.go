// Package transfer moves copies of zones between name servers.
//
// In:  the current snapshot, through package dnsserver; requests that its door
// hands over; messages of primaries.
// Out: transfers to secondaries, NOTIFY messages; for zones that have a primary
// elsewhere, their records.
//
// # Out
//
// A zone that allows copies has a Version (version.go): its records at a time, with
// a serial and the steps that led there (journal.go). Primary looks at the current
// snapshot every second and makes the next version when the content has changed;
// what steered names answer a client of whom nothing is known is part of the
// content. Requests are answered from one version, whatever happens meanwhile
// (answer.go); secondaries are told of each (notify.go).
//
// The copy of a signed zone has its keys, an NSEC chain and a signature over every
// RRset (dnsserver/proofs.go): a secondary cannot prove on demand, as the door does.
//
// # Serials
//
// A serial moves exactly when the content does, and never back (RFC 1982): it is
// the time of the change in Unix seconds, or one more than the last where that is
// larger, or what the configuration states as the least. It is kept on disk with a
// hash of the content, so that a restart without a change moves nothing.
//
// # In
//
// Secondary (secondary.go) keeps copies of zones whose primary is elsewhere: it
// transfers them by IXFR or AXFR, follows refresh, retry and expire of their SOA
// and NOTIFY, and keeps the last good copy on disk.
//
// # Signatures
//
// TSIG (RFC 8945) with HMAC-SHA256 and HMAC-SHA512; every message of a transfer is
// signed. MACs are never shortened.
//
// # Known limits
//
// The journal is in memory: after a restart, secondaries that missed a change get the
// whole zone.
package transfer
