// Package pebbletest runs Pebble, the small ACME authority of Let's Encrypt, for tests:
// on loopback addresses and free ports. The program is the one that `make setup` builds.
//
// In:  where Pebble resolves names, and at which ports it asks. Out: its directory, what
// its own HTTPS is certified by, and the root of the certificates that it issues.
package pebbletest
