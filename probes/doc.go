// Package probes takes synthetic measurements: what a new player would meet at
// each address of each CDN, from each vantage. It measures and never judges
// (invariant 4 in docs/ARCHITECTURE.md).
//
// In:  vantages and targets (Targets makes them from a revision), by
// Scheduler.Set, at any time.
// Out: batches of steering.Measurement, by Config.Sink; one batch per finished
// probe, one measurement per address, sorted by address.
//
// # A probe
//
// A probe is one target seen once from one vantage: the host is resolved (or
// the configured addresses are taken), then every address is tried at the same
// time, IPv4 and IPv6 alike, each with the probe's whole timeout. Of more than
// 32 addresses the lowest 32 are probed and the log says so. A name that does
// not resolve gives one measurement without an address.
//
// Every attempt makes a fresh connection, unless the probe says reuse, so it sees
// what a new player sees: TCP handshake, full TLS handshake, one GET with the host's
// name in SNI (RFC 6066 §3: never an address) and Host (RFC 9110 §7.2), no proxy, no
// content coding, and no more redirects than the probe allows. At most MaxBytes of
// the body are read. Of a response whose status is refused the body is not read.
// Media probes make one connection per host and attempt, as players do, and what
// they time is the segment.
//
// # Where probes go
//
// To public addresses, and to those that Aim.Allow names: what a name resolves to,
// a redirect leads to or a playlist names comes from outside. Tokens are made anew
// for each request and stand in no detail, note or log.
//
// Phases add up to the attempt's time: TTFB ends with the first byte of the
// response and Transfer begins there, so a body that stalls behind a quick
// header shows. Durations are by the monotonic clock.
//
// # When
//
// A target × vantage is probed at a fixed place within the interval, given by a
// hash of both, with a jitter that keeps start-to-start times within 5 % of the
// interval; so a thousand targets never fire together, and a restart or reload
// does not move them. The first probe comes within min(interval, 1 s). A probe
// never overlaps itself: one that outlasts its interval delays the next, and
// what was missed is not made up for.
//
// After a probe in which an address failed that was fine before (or new), the
// next one begins min(interval/10, 250 ms) later; a recheck is not rechecked.
// So two failures in a row are known after at most
// 1.05 × interval + timeout + recheck pause + timeout.
//
// # Whose fault
//
// A vantage bound to an IPv4 address does not measure IPv6 addresses, nor the
// other way round. An attempt that this machine could not make (no file
// descriptor, no port, no route for the address family, a bind address that it
// does not have) says nothing about the CDN: it gives no measurement but a
// warning, and health becomes unknown rather than down (invariant 6).
//
// # Concurrency
//
// All methods of Scheduler may be called from any goroutine. The Sink is called
// from many at once. A probe that was cancelled, because its target was dropped
// or Run's context ended, delivers nothing; a Sink call that has already begun
// is not taken back.
//
// # Known limits
//
// A media probe plays one variant, and of a DASH presentation the last period. Names are resolved by Go's own resolver, which
// reads /etc/hosts before it asks Probe.Resolver and knows no other sources than
// these and DNS.
package probes
