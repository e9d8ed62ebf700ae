// Package dnssec keeps the keys of signed zones and makes signatures with them.
//
// In:  how each zone is to be signed (steering.DNSSEC), RRsets as dns.RR, the
// time, and whether the parent has a key's DS.
// Out: RRSIG records, DNSKEY, CDS and CDNSKEY RRsets, and the next step of each
// key's life.
//
// # Keys
//
// A zone has one key for everything (CSK), or a KSK that signs DNSKEY, CDS and
// CDNSKEY, and a ZSK for the rest (ring.go). Keys are replaced by the timing of
// RFC 7583 (roll.go): zone keys by pre-publication (§3.2.1), those that the parent
// knows by Double-KSK (§3.3.1). Advance is a pure function of ring, policy and
// time; Keeper runs it, keeps the rings in a Vault, and asks the parent for the DS.
// One process at a time is the writer; others follow what the vault holds.
//
// # Signatures
//
// A signature is kept by what it signs (signer.go, cache.go): whatever generation,
// layout or client asks for the same RRset gets the same one, until it is to be
// renewed. What names in a question make up is kept apart from what the zones
// hold, so that a flood of the one does not push out the other. Each signature
// ends at a time of its own in the last part of its validity, which spreads the
// work of renewing them.
//
// Inception lies an hour back, for validators whose clocks are behind; with a
// clock of our own from before this release nothing is signed.
//
// # Concurrency
//
// Keeper's methods may be called from many goroutines. Sign takes no lock.
//
// # Known limits
//
// The algorithm of a zone that has keys cannot be changed, nor its division into
// KSK and ZSK: leave DNSSEC first (DNSSEC.Leave), then begin anew.
package dnssec
