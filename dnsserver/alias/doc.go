// Package alias looks up what stands behind the host names of CDNs, for names that
// are answered with addresses where a CNAME may not stand (ALIAS).
//
// In:  targets: a host name, a region of clients, and a network that represents it.
// Out: the addresses behind the host for that region, at once and without I/O.
//
// Each target is asked for over and over, by the resolvers that are configured, with
// the region's network as client subnet (RFC 7871), so that a CDN answers as it would
// answer the region's own clients. What came is kept for its TTL within bounds. When
// asking fails, the last good answer stands for as long as the process lives, and is
// marked stale; a file keeps it over a restart.
//
// All methods are safe for concurrent use. Behind never waits.
package alias
