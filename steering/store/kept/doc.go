// Package kept is files that survive: written whole or not at all, with a
// checksum, and with the two before them.
//
// In:  a value, as JSON. Out: the newest sound one. WriteFile is for octets that have
// a form of their own, and no checksum.
//
// A file begins with a line "fairway-store 1 sha256 HEX LENGTH"; the rest is JSON of
// that many bytes. It is written beside its place, synced, renamed into place, and
// the folder synced, so a crash leaves the old one or the new one. A file whose
// length or sum is wrong is stepped over: the next older sound one counts.
package kept
