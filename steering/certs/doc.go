// Package certs holds the certificates by which a listener proves its name, and by
// which the nodes of a fleet know each other: from files that are read again when
// they change.
//
// In:  PEM files, a certificate with its chain and its key, and an authority.
// Out: TLS configurations, and an HTTP transport, that always have the newest that
// could be read.
//
// A file that cannot be read, or a key that does not belong to its certificate,
// changes nothing: what was there before stands.
package certs
