// Package acme obtains the certificates of listeners from a certificate authority, and
// renews them (ACME, RFC 8555).
//
// In:  the names, the authority's directory, and how it is shown that the names are
// ours: over HTTP (http-01), in a TLS handshake (tls-alpn-01, RFC 8737), or in the DNS
// (dns-01).
// Out: TLS configurations that have the newest certificate of each name, and what
// doors must answer while the authority asks: the open challenges, in a Board.
//
// Each name has a certificate of its own, so that one that the authority refuses keeps
// no other one from being renewed. One node obtains (Config.Leads); all that share the
// vault load what it saved.
//
// # When
//
// A certificate is renewed when the authority says (ACME Renewal Information, RFC 9773),
// or when a third of its life is left, half where that is ten days or less. After a failure
// comes a pause, which grows to six hours and is kept over restarts: an authority allows
// five failures an hour. Until there is a new certificate the old one serves, also when it
// has expired.
//
// # Concurrency
//
// What the doors call loads one pointer and never waits. Run does everything else.
//
// # What it does not do
//
// It opens no listener and writes no zone: the doors answer from the Board. It revokes
// nothing, and deletes nothing from the vault.
package acme
