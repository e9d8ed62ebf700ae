package dnssec

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// backdate is how far before its making a signature begins to hold, and slack how
// far a clock may go back before signatures are made anew.
const (
	backdate = time.Hour
	slack    = 10 * time.Minute
)

// earliest is when this release was made: a clock that shows less is wrong, and
// what is signed by it could be valid nowhere.
var earliest = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// ErrLimited means that a signature was not made because too many were asked for.
var ErrLimited = errors.New("dnssec: too many signatures are asked for at once")

var errUnsigned = errors.New("dnssec: there are no keys for this zone")

// active is a zone's keys, ready to sign. It never changes.
type active struct {
	ring    *Ring
	plan    plan
	zone    signingKey
	anchors []signingKey
	dnskey  []dns.RR
	cds     []dns.RR
	cdnskey []dns.RR
}

type signingKey struct {
	*Key
	private crypto.Signer
}

// newActive opens the private keys of a ring.
func newActive(r *Ring, p plan) (*active, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	a := &active{ring: r, plan: p, dnskey: r.dnskeys(wholeSeconds(p.KeyTTL))}
	a.cds, a.cdnskey = r.forParent(&p.DNSSEC)
	private, err := r.signing().private()
	if err != nil {
		return nil, err
	}
	a.zone = signingKey{r.signing(), private}
	for _, k := range r.anchors() {
		if private, err = k.private(); err != nil {
			return nil, err
		}
		a.anchors = append(a.anchors, signingKey{k, private})
	}
	return a, nil
}

// keys are those that sign RRsets of a type: what is about keys is signed by those
// that the parent knows (RFC 7344 §4.1 asks that of CDS and CDNSKEY).
func (a *active) keys(rrtype uint16) []signingKey {
	switch rrtype {
	case dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
		return a.anchors
	}
	return []signingKey{a.zone}
}

// signer signs RRsets, each once.
type signer struct {
	now      func() time.Time
	standing *cache // what the zones hold
	minted   *cache // what names in questions make up
	made     atomic.Uint64
	mints    atomic.Uint64
	refused  atomic.Uint64
	reused   atomic.Uint64
}

// sign returns the signatures over an RRset, one per key that signs it. The
// records' TTL goes into the signature as the original one. allow is nil for what
// the zone holds; for what a question makes up it tells whether a signature may be
// made now.
func (s *signer) sign(a *active, rrset []dns.RR, allow func() bool) ([]*dns.RRSIG, error) {
	octets, err := canonical(rrset)
	if err != nil {
		return nil, err
	}
	keep, made := s.standing, &s.made
	if allow != nil {
		keep, made = s.minted, &s.mints
	}
	now := s.now()
	var sigs []*dns.RRSIG
	for _, k := range a.keys(rrset[0].Header().Rrtype) {
		of := digestOf(k.Key, a.ring.Zone, octets)
		if kept := keep.get(of); kept != nil && kept.holds(now) {
			s.reused.Add(1)
			sigs = append(sigs, kept.rrsig)
			continue
		}
		if allow != nil && !allow() {
			s.refused.Add(1)
			return nil, ErrLimited
		}
		made.Add(1)
		fresh, err := a.make(k, rrset, of, now)
		if err != nil {
			return nil, err
		}
		keep.put(fresh)
		sigs = append(sigs, fresh.rrsig)
	}
	return sigs, nil
}

// holds tells whether a signature is to be used: it is not to be renewed yet, and
// began to hold, by a clock that may have been set since.
func (s *signature) holds(now time.Time) bool {
	return now.Before(s.renewAt) && now.Unix() >= int64(s.rrsig.Inception)+int64((backdate-slack)/time.Second)
}

// make signs, from the signature's turn on (see turn) and an hour before, for the
// validity. So the signature is renewed when a third of the validity is left: what
// caches took before stays valid for as long as its TTL lets them keep it.
//
// The same records give the same signature until its next turn, on every node that
// has the keys and after every restart: secondaries are not told of a change that is
// none.
func (a *active) make(k signingKey, rrset []dns.RR, of digest, now time.Time) (*signature, error) {
	if now.Before(earliest) {
		return nil, fmt.Errorf("dnssec: the clock shows %s, which is before this release was made; nothing is signed until it is right", now.UTC().Format(time.RFC3339))
	}
	began, next := turn(of, a.plan.Validity*2/3, now)
	rrsig := &dns.RRSIG{
		Hdr:        dns.RR_Header{Ttl: rrset[0].Header().Ttl},
		Algorithm:  k.Algorithm,
		OrigTtl:    rrset[0].Header().Ttl,
		Inception:  uint32(began.Add(-backdate).Unix()),
		Expiration: uint32(began.Add(a.plan.Validity).Unix()),
		KeyTag:     k.Tag,
		SignerName: a.ring.Zone,
	}
	if err := rrsig.Sign(repeatable{k.private}, rrset); err != nil {
		return nil, fmt.Errorf("dnssec: sign %s %s: %w", rrset[0].Header().Name, dns.Type(rrset[0].Header().Rrtype), err)
	}
	return &signature{of: of, rrsig: rrsig, renewAt: next}, nil
}

// turn gives the time since when a signature is the current one, and when the next
// one will be. Every so long it is each signature's turn once, when depends on what is
// signed: so what is signed in one moment, at a start or a roll, is not all renewed in
// one moment.
func turn(of digest, every time.Duration, now time.Time) (began, next time.Time) {
	offset := time.Duration(binary.LittleEndian.Uint64(of[8:]) % uint64(every))
	late := (time.Duration(now.UnixNano()) - offset) % every
	began = now.Add(-late).Truncate(time.Second)
	return began, began.Add(every)
}

// repeatable signs alike whenever it signs the same: ECDSA without chance (RFC 6979),
// as crypto/ecdsa does where it is given none. Ed25519 knows no chance.
type repeatable struct{ crypto.Signer }

// Sign implements crypto.Signer.
func (r repeatable) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return r.Signer.Sign(nil, digest, opts)
}

// digestOf names what is signed and by which key.
func digestOf(k *Key, zone string, octets []byte) digest {
	h := sha256.New()
	var head [4]byte
	binary.BigEndian.PutUint16(head[:], k.Tag)
	head[2] = k.Algorithm
	h.Write(head[:])
	h.Write([]byte(k.Public))
	h.Write([]byte(zone))
	h.Write(octets)
	return digest(h.Sum(nil))
}

// canonical is the octets of an RRset with its owner in lower case and without
// compression. The order of the records is left: another order is signed again.
func canonical(rrset []dns.RR) ([]byte, error) {
	if len(rrset) == 0 {
		return nil, errors.New("dnssec: an empty RRset cannot be signed")
	}
	length := 0
	for _, rr := range rrset {
		length += dns.Len(rr)
	}
	octets, end := make([]byte, length+256), 0
	owner := dns.CanonicalName(rrset[0].Header().Name)
	for _, rr := range rrset {
		if rr.Header().Name != owner {
			rr = dns.Copy(rr) // it may be in an answer, where its case counts
			rr.Header().Name = owner
		}
		next, err := dns.PackRR(rr, octets, end, nil, false)
		if err != nil {
			return nil, fmt.Errorf("dnssec: %s: %w", owner, err)
		}
		end = next
	}
	return octets[:end], nil
}
