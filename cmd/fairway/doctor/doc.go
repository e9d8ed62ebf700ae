// Package doctor looks at a DNS zone from outside, as its resolvers do, and says
// what its operator should do next.
//
// In:  a zone's name; a resolver to begin with; perhaps servers to ask in place
// of those that the parent names.
// Out: a Report: findings, each with the server, what was seen and the remedy.
//
// # What it looks at
//
// The delegation against the zone's own NS records, with its glue (parent.go);
// each server alone: authority, UDP and TCP, EDNS, sizes, client subnet, case,
// names that do not exist (server.go, edns.go, names.go); all servers against each
// other (agreement.go); the chain of trust and the clock (dnssec.go); what a
// resolver makes of it all (resolver.go); the certificates that names show, and when they
// end (certificate.go).
//
// It knows nothing of Fairway but what Fairway answers, so that it tells the same
// about every authoritative server. It needs no running node and no
// configuration.
//
// # Sources
//
// RFC 1034 §4.2.2 (delegation and zone say the same), RFC 1912 and RFC 2182
// (operation), RFC 2308 (negative answers), RFC 4034 and 4035 (DNSSEC), RFC 5001
// (NSID), RFC 6891 (EDNS), RFC 7344 (CDS), RFC 7766 (TCP), RFC 7871 (client
// subnet), RFC 7873 (cookies), RFC 8020 (empty non-terminals), RFC 8906 (EDNS
// compliance), RFC 7633 (certificates that want a staple), DNS flag day 2020 (1232 octets).
//
// # Known limits
//
// It sees what its own place in the network sees: a firewall elsewhere, or another
// instance of an anycast address, may tell another story.
package doctor
