// Package tap writes queries and answers down: as dnstap (https://dnstap.info)
// for other programs, and as a log of one JSON object per line.
//
// In:  the exchanges of the DNS door, of which it takes a share.
// Out: dnstap AUTH_QUERY and AUTH_RESPONSE messages over a Frame Streams socket;
// or lines in a file.
//
// # Bounds
//
// A door never waits for it: what finds all places taken is left out, and counted.
// The places are made once. So many exchanges a second are written at most. A
// reader that is away is tried again every second, and misses what is between.
//
// # Privacy
//
// Unless it is told otherwise, of a client's address and of the client subnet (RFC
// 7871) that a resolver tells, the /24 or the /56 is written, and DNS cookies (RFC
// 7873), which know a client again, are left out. A message that cannot be read
// is left out as a whole; then only that there was one is told.
//
// # Concurrency
//
// Saw may be called by many goroutines. Run is one goroutine.
package tap
