// Package certs holds the certificates by which a listener proves its name: from
// files that are read again when they change.
//
// In:  PEM files, a certificate with its chain and its key.
// Out: a TLS configuration that always has the newest that could be read.
//
// A file that cannot be read, or a key that does not belong to its certificate,
// changes nothing: what was there before stands.
package certs
