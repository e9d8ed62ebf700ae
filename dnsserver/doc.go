// Package dnsserver is the DNS door: it answers DNS questions from the current
// snapshot, authoritatively and for its own zones only.
//
// In:  one DNS message over UDP, TCP (RFC 7766) or TLS (RFC 7858), at most 65,535
// octets.
// Out: one answer, or none for what is no question; TTL in whole seconds, never
// 0 for a steered name.
//
// # The life of a question
//
// A socket loop reads the octets (udp.go, tcp.go). What nearly all queries are
// takes the fast path, below; for the rest parse reads them strictly
// (wire.go); answer checks the protocol (answer.go) and resolves the name
// (resolve.go): a static record, a delegation, a negative answer, or a steered
// name, for which the snapshot decides (steered.go). The snapshot is loaded once
// per question. Sockets, previews and tests share this path.
//
// # The fast path
//
// A query of the common shape (commonquery.go) for a name of ours is answered
// without dns.Msg and without allocating: look the name up (nametable.go), decide,
// put the prepared octets behind the question, fill in TTL, scope and OPT record
// (fast.go). Anything else falls through to the general path, which is what the
// life of a question describes. Prepare makes the octets by asking the general
// path (prepare.go, prepared.go): for each static name its answers, for each
// steered name what every endpoint would give. So they belong to the layout; a new
// generation finds them made. That both paths give the same answer but for the
// compression of names is tested over random and spoiled queries.
//
// Where a world is larger than the processor's caches, an answer is a chain of waits
// for memory. There a batch of queries is looked ahead over before the first is
// answered, so that they wait together (ahead.go).
//
// A query that asks for proof finds it with the octets (fastsigned.go): they are
// made by the same preparer when they are first asked for, those of steered names
// before their layout serves.
//
// # EDNS, and addresses that may be forged
//
// Both paths read a query's options and write the answer's OPT record by the same
// code (options.go). Between them and UDP stands a guard (guard.go) that works on
// the octets of whichever path made them: it bounds the responses that a client
// network gets and the size of an answer by that of its query. A valid cookie
// (cookie.go) shows that an address is no forgery, and the guard lets it pass.
//
// Connections (tcp.go, tls.go) are bounded in all and for each client
// (connections.go).
//
// UDP packets come and go by one of two back ends behind a small interface
// (udp.go): many per system call on Linux, one by one elsewhere.
//
// # Zones
//
// The static records of a layout are compiled once, by Prepare, before the first
// snapshot with this layout is published; the doors then share them without a
// lock. A question that meets a layout nobody prepared compiles it there and
// then, which makes this one question, and those beside it, wait: a wiring
// mistake costs time, not answers.
//
// A zone's serial of 0 is made from the revision's hash: every node gives the
// same serial for the same revision, also after a restart, and another one for
// another revision. It does not grow with time, since nothing that all nodes
// share and that only grows is in a revision. That of a zone with secondaries does:
// Copies counts it, by the zone's content.
//
// # DNSSEC
//
// A zone that is to be signed is signed by content, last of all (signing.go): what
// is answered is looked at as it will be sent, and every RRset gets the signature
// that the Signer has or makes. Nothing in the order of an answer knows of it but
// the keys' own records at the apex. What does not exist is denied by compact
// denial (RFC 9824, nsec.go).
//
// # Client subnet
//
// A query's ECS prefix (RFC 7871 §6) is the client; without one, or with a
// SOURCE PREFIX-LENGTH of 0, the resolver is. The scope we return is that of
// the decision (§7.2.1), and 0 where the address made no difference. Where it made
// one, a chain of CNAMEs ends after the first. A wrongly formatted option is FORMERR, always.
//
// # What it does not do
//
// It never measures, never reads policy text, never recurses, and never waits
// for anything but its sockets. Copies of zones are what Config.Copies answers
// (package dnsserver/transfer). DNAME (RFC 6672) is refused at load.
//
// # Known limits
//
// An ECS prefix within ::ffff:0:0/96 is IPv4 written in another way and is
// answered as IPv4, with a scope of at least 96; an IPv6 scope that covers this
// block covers it in name only. No resolver is known to send such a prefix.
package dnsserver
