// Package demo emulates what Fairway steers between, so that the whole program
// can be tried, and tested, on one machine with nothing installed: three CDNs
// (alpha, bravo, charlie) and the origins behind them, as real HTTP and HTTPS
// servers on loopback addresses, and a web page with two players on them.
//
// The CDNs have a short programme, a test picture with a tone, as HLS and DASH:
// live without end, and four minutes to watch from the begin. media/make makes it.
//
// In:  Options (a folder, where the doors should listen) and, while it runs,
// Faults: more latency, errors, silence, a narrow pipe, per CDN and region.
// Out: running servers, and the configuration (YAML) with which
// `fairway run` would steer between them.
//
// # The map
//
//	127.1.1.1-3  vantages of na          127.0.10.1-2  alpha
//	127.1.2.1-3  vantages of eu          127.0.20.1-2  bravo
//	127.1.3.1-3  vantages of as          127.0.30.1-2  charlie
//	127.1.4.1-3  vantages of sa          127.0.41-44.1-2  origins of na, eu, as, sa
//
// A CDN tells a client's region by its source address, as the table shows, and
// delays its first byte accordingly; every other source, such as a player on
// 127.0.0.1, is "local". Probes and players are treated alike: nothing here
// knows which of them asks.
//
// # Promises
//
// World is safe for concurrent use after Listen. Run owns every goroutine and
// socket, also those of connections that a black hole keeps hanging, and
// returns when all have ended.
//
// # Limits
//
// Distance is delay before the first byte of a response: TCP and TLS handshakes
// are as fast as loopback. The addresses exist on Linux as they are; other
// systems want them configured on the loopback interface first.
package demo
